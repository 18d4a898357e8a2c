"""The experiment itself, small: real servers, all guards; and that the verdict follows from the figures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.seat_contention import tables
from experiments.seat_contention.__main__ import measure
from experiments.seat_contention.model import GUARDS, QUICK_LOADS, Load
from experiments.seat_contention.results import Cell, Figure, Results, quantile
from experiments.seat_contention.verdict import verdict

ALONE = Load("one after the other", 10, one_seat=False, at_once=False)
SPREAD = Load("each of another seat", 10, one_seat=False)
CROWD = Load("of one seat", 10, one_seat=True)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return measure(QUICK_LOADS, 1, Path(tmp_path_factory.mktemp("contention")), Console(quiet=True))


def test_nothing_but_a_guard_keeps_a_seat_from_being_sold_twice(quick: Results) -> None:
    twice = {
        guard.name: max(quick.cell(guard.name, load).seats_sold_twice.high for load in QUICK_LOADS) for guard in GUARDS
    }
    assert twice == {"none": 1, "serializable": 0, "index": 0, "lock": 0, "lock_without_redis": 0}


def test_every_buyer_is_answered_and_every_figure_is_there(quick: Results) -> None:
    for cell in quick.cells:
        assert cell.answered_well.low > 0.5, cell
        assert 0 < cell.p50_ms.low <= cell.p99_ms.high
        assert cell.per_second.low > 0
        assert cell.service_us.low > 0
    written = tables.replaced("before <!-- results: written by python -m experiments.seat_contention -->"
                              " old <!-- /results --> after", quick, QUICK_LOADS)  # fmt: skip
    assert written.startswith("before ")
    assert written.endswith(" after")
    assert " old " not in written
    assert written.count("| lock |") == len(QUICK_LOADS)


def made_up(**lock: float) -> Results:
    """All guards alike, and right, but for the lock in the crowd."""

    def cell(guard: str, load: Load) -> Cell:
        same = Figure(100.0, 95.0, 105.0)
        cell = Cell(guard, load.name, load.buyers, Figure(0, 0, 0), Figure(1, 1, 1), *[same] * 6)
        if guard == "lock" and load is CROWD:
            changes: dict[str, Any] = {name: Figure(value, 0.99 * value, 1.01 * value) for name, value in lock.items()}
            cell = replace(cell, **changes)
        return cell

    return Results(
        "m", "p", "s", 0.0, 3, [cell(guard.name, load) for guard in GUARDS for load in (ALONE, SPREAD, CROWD)]
    )


@pytest.mark.parametrize(
    ("lock", "advice"),
    [
        ({}, "not worth having"),
        ({"per_second": 300.0}, "the only reason to have it"),
        ({"per_second": 30.0}, "not worth having"),
        ({"per_second": 300.0, "seats_sold_twice": 1.0}, "must not be used"),
    ],
)
def test_the_advice_follows_from_the_figures(lock: dict[str, float], advice: str) -> None:
    assert advice in verdict(made_up(**lock), [ALONE, SPREAD, CROWD])[-1]


def test_both_are_advised_where_the_index_alone_does_not_last() -> None:
    results = made_up(per_second=300.0)
    cells = [
        replace(cell, answered_well=Figure(0.5, 0.4, 0.6)) if (cell.guard, cell.load) == ("index", CROWD.name) else cell
        for cell in results.cells
    ]
    sentences = verdict(replace(results, cells=cells), [ALONE, SPREAD, CROWD])
    assert "use both" in sentences[-1]
    assert any("index 50.0%, lock 100.0%" in sentence for sentence in sentences)


def test_who_sells_twice_is_named() -> None:
    right, *_ = verdict(made_up(), [ALONE, SPREAD, CROWD])
    assert right == "Never did: `none`, `serializable`, `index`, `lock`, `lock_without_redis`."
    wrong, others, *_ = verdict(made_up(seats_sold_twice=2.0), [ALONE, SPREAD, CROWD])
    assert wrong == "Sold a seat twice: `lock`."
    assert others == "Never did: `none`, `serializable`, `index`, `lock_without_redis`."


@pytest.mark.parametrize(("per_second", "says"), [(100.0, "as many, as far as"), (300.0, "100 buyers a second to 300")])
def test_what_is_left_without_redis_is_told(per_second: float, says: str) -> None:
    assert any(says in sentence for sentence in verdict(made_up(per_second=per_second), [ALONE, SPREAD, CROWD]))


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert [quantile([1, 2, 3, 4], share) for share in (0.0, 0.25, 0.5, 0.99, 1.0)] == [1, 1, 2, 4, 4]
