"""Before measuring: which cells a run has, and how fast an open load comes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import HarnessError
from harness.load.result import OK
from harness.run import execute
from harness.run.cell import CellResult, load_plan
from harness.run.progress import Narrator
from harness.run.rates import rate_from_capacity
from harness.run.replicas import by_start
from harness.run.up import _closed_loop
from harness.stages.manifest import STAGES_ROOT, ServiceSpec, Stage, discover_stages
from scenarios.catalog import SCENARIOS
from scenarios.dataset import DATASETS
from scenarios.model import TURN_SECONDS, CellState, Load, Variant
from scenarios.plan import LoadPlan
from tests.harness.cells import cell, options, queued


def told(phases: Sequence[Sequence[tuple[Any, Variant]]]) -> list[list[str]]:
    return [[f"{scenario.id} {variant.load.shape}" for scenario, variant in phase] for phase in phases]


def test_a_load_that_waits_for_its_rate_runs_behind_all_others() -> None:
    first, second = told(options("cancel", "booking", "on_sale").phases)
    assert first == ["cancel closed", "booking closed"]
    assert second == ["cancel open", "booking open", "on_sale open"]
    assert told(options("one_seat").phases) == [["one_seat burst", "one_seat burst"]]


def test_a_rate_that_is_given_need_not_be_waited_for() -> None:
    (only,) = told(options("cancel", "booking", rate=5.0).phases)
    assert only == ["cancel closed", "cancel open", "booking closed", "booking open"]


@pytest.mark.parametrize(
    ("more", "shapes"),
    [
        ({}, ["closed"]),
        ({"scenarios_named": True}, ["closed", "open"]),
        ({"rate": 5.0}, ["closed", "open"]),
    ],
)
def test_a_first_look_has_the_open_load_if_it_is_asked_for(more: dict[str, Any], shapes: list[str]) -> None:
    assert [variant.load.shape for _, variant in options("cancel", profile="quick", **more).cells] == shapes


def test_a_rate_adds_no_load_that_has_none() -> None:
    assert options("scale", profile="quick", rate=5.0).cells == []
    assert len(options("scale", profile="quick", scenarios_named=True).cells) == 3


def test_locust_by_itself_drives_closed_loops() -> None:
    assert _closed_loop(SCENARIOS["cancel"]).users == 100
    for name in ("one_seat", "on_sale"):
        with pytest.raises(HarnessError, match=f"{name} has no closed loop"):
            _closed_loop(SCENARIOS[name])


def test_no_first_look_has_the_longest_burst() -> None:
    cells = options("one_seat", profile="quick", scenarios_named=True).cells
    assert [variant.load.users for _, variant in cells] == [1_000]


def test_the_rate_is_half_of_what_the_slowest_stage_did() -> None:
    """Medians 50, 20 and 30 a second; other scenarios and other loads decide nothing."""
    closed = {"01": (100, 90, 200), "02": (10, 40, 44), "03": (60, 60, 60)}
    results = [
        cell(stage, repeat=repeat, outcomes={OK: count})
        for stage, counts in closed.items()
        for repeat, count in enumerate(counts, start=1)
    ]
    others = [cell("02", "booking", outcomes={OK: 2}), cell("02", shape="open", outcomes={OK: 2})]
    rate = rate_from_capacity("cancel", 0.5, [*others, *results])
    assert rate.value == 10.0
    assert "50% of what 02, the slowest stage, did in the closed loop of cancel" in rate.reason


def test_a_rate_has_three_digits_and_one_stage_is_enough() -> None:
    rate = rate_from_capacity("cancel", 0.5, [cell("01", outcomes={OK: 123})])
    assert rate.value == 30.8
    assert "slowest" not in rate.reason


def test_every_stage_has_the_same_rate_and_turns_are_taken_in_both_parts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two stages, three repeats: six closed cells first, then six open ones, and no stage twice in a repeat."""
    (first, *_) = discover_stages(STAGES_ROOT)
    stages = (first, first.model_copy(update={"id": "02_other"}))
    asked = replace(options("cancel"), stages=stages)
    ran: list[tuple[str, int, str, float | None]] = []

    def measured(run: Any, stage: Stage, repeat: int, cells: Sequence[tuple[Any, Variant]]) -> None:
        for scenario, variant in cells:
            ran.append((stage.id, repeat, variant.load.shape, variant.load.rate))
            done = {OK: 80 if stage.id == first.id else 40}
            run.results.append(cell(stage.id, scenario.id, variant.load.shape, repeat=repeat, outcomes=done))

    monkeypatch.setattr(execute, "_measure_stage", measured)
    nothing: Any = None
    run = execute._Run(asked, tmp_path, nothing, nothing, nothing, DATASETS["default"], Narrator(Console(quiet=True)))
    execute._measure_all(run)
    assert [shape for _, _, shape, _ in ran] == ["closed"] * 6 + ["open"] * 6
    assert {rate for *_, rate in ran[6:]} == {10.0}
    for part in (ran[:6], ran[6:]):
        assert [repeat for _, repeat, _, _ in part] == [1, 1, 2, 2, 3, 3]
        for turn in (0, 2, 4):
            assert {stage for stage, *_ in part[turn : turn + 2]} == {stage.id for stage in stages}


@pytest.mark.parametrize(
    ("results", "said"),
    [
        ([], "was not measured"),
        ([cell(shape="open")], "was not measured"),
        ([cell("01"), cell("02", outcomes={"HTTP 500": 9})], "no successful answer on 02"),
    ],
)
def test_no_capacity_is_one_clear_sentence(results: list[CellResult], said: str) -> None:
    with pytest.raises(HarnessError, match=said) as refused:
        rate_from_capacity("cancel", 0.5, results)
    assert "--rate" in refused.value.hint


def test_a_rate_decides_clients_params_and_plan(tmp_path: Path) -> None:
    variant = Variant(Load("open", share_of_capacity=0.5), {"load": "open"}).at_rate(12.34)
    assert variant.params == {"load": "open", "rate": 12.34}
    assert not variant.needs_rate
    state = CellState({}, DATASETS["default"], "http://127.0.0.1:1", tokens=[], ledger=tmp_path)
    plan = load_plan(SCENARIOS["cancel"], variant.load, state, options("cancel"), repeat=1)
    assert (plan.shape, plan.rate, plan.users, plan.requests_per_user, plan.seconds) == ("open", 12.34, 124, None, 2.0)


def test_the_capacity_of_a_queue_is_what_it_finishes() -> None:
    """Of 190 tickets and 10 answers in two seconds, 45 a second were booked: more than the 40 of the other stage."""
    results = [cell("04", "booking", outcomes={OK: 80}), queued(45.0)]
    rate = rate_from_capacity("booking", 3.0, results)
    assert rate.value == 120.0
    assert "04, the slowest stage" in rate.reason


def test_a_surge_has_clients_enough(tmp_path: Path) -> None:
    (variant,) = SCENARIOS["on_sale"].variants
    paced = variant.at_rate(10.0)
    assert paced.load.surge is not None
    assert paced.load.users == math.ceil(10.0 * paced.load.surge.times * TURN_SECONDS)
    state = CellState({}, DATASETS["default"], "http://127.0.0.1:1", tokens=["secret"], ledger=tmp_path)
    plan = load_plan(SCENARIOS["on_sale"], paced.load, state, options("on_sale"), repeat=1)
    assert (plan.rate, plan.seconds, plan.surge) == (10.0, 30.0, paced.load.surge)
    plan.save(tmp_path / "plan.json")
    assert LoadPlan.load(tmp_path / "plan.json") == plan


def test_each_number_of_instances_is_a_start_of_its_own() -> None:
    (first, *_) = discover_stages(STAGES_ROOT)
    twice = first.model_copy(
        update={"services": {**first.services, "order": ServiceSpec(replicas=2), "concert": ServiceSpec(replicas=2)}}
    )
    cells = options("scale", "booking", rate=5.0).cells
    starts = [
        (stage.services["order"].replicas, stage.services["user"].replicas, [variant.params for _, variant in found])
        for stage, found in by_start(twice, cells)
    ]
    assert starts == [
        (1, 1, [{"replicas": 1}]), (2, 1, [{"replicas": 2}]), (3, 1, [{"replicas": 3}]),
        (2, 1, [{}, {"load": "overload"}]),
    ]  # fmt: skip
    ((stage, found),) = by_start(first, cells)
    assert stage is first, "a stage that replicates nothing is measured as it is"
    assert [scenario.id for scenario, _ in found] == ["booking", "booking"]
