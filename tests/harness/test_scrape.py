"""What services count themselves, and what the report makes of a cache's counters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from harness.run import cache
from harness.sample.scrape import Reading, increase, label_values, total
from tests.harness.cells import cell


def reading(name: str, process: str = "concert", **labels: str) -> Reading:
    return Reading(process, name, tuple(sorted(labels.items())))


def test_counters_are_told_by_their_increase_and_gauges_by_their_value() -> None:
    counter, gauge, new = reading("asked_total"), reading("connections"), reading("loads_sum")
    assert increase({counter: 5.0, gauge: 9.0}, {counter: 12.0, gauge: 3.0, new: 1.5}) == {
        counter: 7.0,
        gauge: 3.0,
        new: 1.5,
    }


def test_a_counter_that_was_started_anew_counts_from_zero() -> None:
    counter = reading("asked_total")
    assert increase({counter: 500.0}, {counter: 20.0}) == {counter: 20.0}


def test_a_total_is_over_processes_and_the_labels_that_were_not_asked_for() -> None:
    readings = {
        reading("asked_total", kind="seats", outcome="hit"): 1.0,
        reading("asked_total", "concert#2", kind="seats", outcome="miss"): 2.0,
        reading("asked_total", kind="page", outcome="hit"): 4.0,
        reading("other_total", kind="seats"): 8.0,
    }
    assert total(readings, "asked_total", kind="seats") == 3.0
    assert total(readings, "asked_total", outcome="hit") == 5.0
    assert label_values(readings, "asked_total", "kind") == ["page", "seats"]


@pytest.fixture
def counted() -> Mapping[Reading, float]:
    return {
        reading(cache.REQUESTS, kind="seats", outcome="hit"): 60.0,
        reading(cache.REQUESTS, kind="seats", outcome="shared"): 30.0,
        reading(cache.REQUESTS, kind="seats", outcome="miss"): 10.0,
        reading(cache.REQUESTS, kind="never-asked", outcome="hit"): 0.0,
        reading(f"{cache.LOADS}_count", kind="seats"): 10.0,
        reading(f"{cache.LOADS}_sum", kind="seats"): 0.25,
        reading(cache.ERRORS, error="TimeoutError"): 2.0,
        reading(cache.EVICTED): 7.0,
    }


def test_the_cache_table_adds_the_repeats_up(counted: Mapping[Reading, float]) -> None:
    one: Any = replace(cell(), counted=counted)
    (table,) = cache.cache_tables([one, replace(one, repeat=2)])
    assert table.scenario == one.scenario
    assert table.rows == [[one.stage, "seats", 200, 60.0, 30.0, 20, 25.0, 4, 7]]


def test_a_stage_without_a_cache_has_no_table() -> None:
    assert cache.cache_tables([cell()]) == []
