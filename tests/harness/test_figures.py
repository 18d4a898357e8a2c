"""Between measuring and telling: what becomes of the figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.launch.running import UNCAPPED
from harness.load.result import ACCEPTED, OK, REFUSED
from harness.run import provider, summarise
from harness.run.beside import timeline
from harness.run.memory import memory_peak, memory_table
from scenarios.model import Course
from tests.harness.cells import cell, options, queued


def test_a_burst_has_neither_rate_nor_cost() -> None:
    burst = cell(
        scenario="one_seat",
        shape="burst",
        outcomes={OK: 1, REFUSED: 998, "HTTP 503, code 5000": 1},
        metrics={"winners": 1.0},
        last_answer_ms=1_800.0,
        per_second_ok=[1, 0],
        per_second_refused=[600, 398],
        per_second_failed=[0, 1],
    )
    found = {m.metric: m.median for m in summarise.measurements([burst], UNCAPPED, 2)}
    assert found == {
        "all_answered_ms": 1_800.0, "mean_ms": 10.0, "p50_ms": 9.0, "p95_ms": 15.0, "p99_ms": 19.0,
        "answered_well": 0.999, "failures": 1.0, "refused": 998.0, "winners": 1.0,
    }  # fmt: skip
    assert summarise.costs([burst]) == []
    over_time = timeline(burst)
    assert (over_time.requests_per_s, over_time.failures_per_s) == ([601, 398], [0, 1])
    assert over_time.requests_title == "Answered well per second"


def test_an_open_load_tells_what_was_late() -> None:
    results = [cell(shape="open", repeat=n, late=n, dropped=0) for n in (1, 2, 3)]
    found = {m.metric: m.values for m in summarise.measurements(results, UNCAPPED, 2)}
    assert (found["late"], found["dropped"]) == ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0])
    assert found["throughput"] == [50.0] * 3
    assert "late" not in {m.metric for m in summarise.measurements([cell()], UNCAPPED, 2)}


REPEATS = [
    cell(memory={"order": [80.0, 90.0], "order#2": [70.0, 75.0], "locust": [100.0, 50.0]}),
    cell(memory={"order": [85.0, 80.0, 80.0], "order#2": [81.0, 60.0, 60.0], "locust": [0.0, 0.0, 0.0]}, repeat=2),
]


def test_replicas_are_one_component_at_one_moment() -> None:
    peak = memory_peak(REPEATS)
    assert peak.by_component == {"order": 166.0, "locust": 100.0}
    assert peak.platform == 166.0
    assert {cost.component: cost.peak_memory_mib for cost in summarise.costs(REPEATS)} == {
        "gateway": None, "order": 166.0, "locust": 100.0,
    }  # fmt: skip


def test_the_table_of_memory_tells_its_own_cost() -> None:
    table = memory_table(REPEATS)
    assert table.rows == [
        ["01", "locust", 100],
        ["01", "order", 90],
        ["01", "order#2", 81],
        ["01", "all together", 250],
    ]
    assert "0.4% of a core" in table.note


def test_the_providers_latency_is_told_and_drawn() -> None:
    slow = options("cancel", "booking", provider_median_ms=3_000.0)
    assert "median 3,000 ms, mean 3,189 ms" in provider.note(slow)
    assert [(line.metric, round(line.value)) for line in provider.references(slow)] == [
        ("refund_done_ms", 3_000), ("mean_ms", 3_189),
    ]  # fmt: skip
    at_once = options("cancel", provider_median_ms=0.0)
    assert provider.references(at_once) == []
    assert "without any latency" in provider.note(at_once)


def test_a_ticket_is_no_throughput_and_costs_what_was_finished() -> None:
    """45 bookings a second over four seconds of 0.65 CPUs; in the answers of the two measured ones are 5 a second."""
    found = {m.metric: m.median for m in summarise.measurements([queued(45.0)], UNCAPPED, 2)}
    assert found["throughput"] == 5.0
    assert found["accepted"] == 95.0
    assert found["finished"] == 45.0
    assert found["tickets_ended"] == 1.0
    assert found["drain_seconds"] == 2.0
    assert found["refused"] == 10.0
    assert found["answered_well"] == 1.0
    assert found["cpu_us"] == pytest.approx(2.6 / 4.0 / 45.0 * 1e6)
    costs = {cost.component: cost.cpu_us_per_request for cost in summarise.costs([queued(45.0)])}
    assert costs["order"] == pytest.approx(2.0 / 4.0 / 45.0 * 1e6)


def test_of_a_mix_every_success_counts() -> None:
    """Ten answers and 180 tickets in four seconds."""
    mix = replace(queued(45.0), mixed=True)
    found = {m.metric: m.median for m in summarise.measurements([mix], UNCAPPED, 2)}
    assert found["cpu_us"] == pytest.approx(2.6 / 190 * 1e6)


def test_a_queue_without_bookings_has_no_cost() -> None:
    lost = replace(queued(0.0, ends={"no outcome": 190}), metrics={})
    found = {m.metric: m.median for m in summarise.measurements([lost], UNCAPPED, 2)}
    assert "cpu_us" not in found
    assert found["tickets_ended"] == 0.0
    assert summarise.costs([lost]) == []


def test_an_overload_tells_who_was_answered_at_once() -> None:
    late = cell(shape="open", outcomes={OK: 60, ACCEPTED: 20, "HTTP 503": 20}, prompt=70, server_errors=20,
                p99_every_ms=512.0)  # fmt: skip
    found = {m.metric: m.median for m in summarise.measurements([late], UNCAPPED, 2)}
    assert (found["within_300ms"], found["server_errors"], found["p99_every_ms"]) == (0.7, 20.0, 512.0)


def test_a_mean_of_many_kinds_is_not_held_against_the_provider() -> None:
    lines = provider.references(options("cancel", "on_sale", provider_median_ms=600.0))
    assert [(line.scenario, line.metric) for line in lines] == [
        ("cancel", "refund_done_ms"), ("cancel", "mean_ms"), ("on_sale", "refund_done_ms"),
    ]  # fmt: skip


def test_what_is_told_over_time_is_drawn() -> None:
    courses = [
        Course("Time to the refund (ms)", 0.5, [None, 700.0], with_provider=True),
        Course("Backlog (cancellations)", 0.5, [1.0, 2.0]),
    ]
    wait, backlog = timeline(replace(cell(), courses=courses), 600.0).gauges
    assert (wait.line, wait.line_label) == (600.0, "payment provider alone, median 600 ms")
    assert (backlog.line, backlog.values) == (None, [1.0, 2.0])
    assert timeline(replace(cell(), courses=courses), 0.0).gauges[0].line is None, "it makes no latency of its own"
