"""Between measuring and telling: which cells a run has, how fast an open load comes, what becomes of the figures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import HarnessError
from harness.launch.running import UNCAPPED
from harness.load.result import ACCEPTED, OK, REFUSED, LoadResult
from harness.run import execute, provider, summarise
from harness.run.beside import timeline
from harness.run.cell import CellResult, Spent, load_plan
from harness.run.drain import Drained
from harness.run.memory import memory_peak, memory_table
from harness.run.options import RunOptions
from harness.run.progress import Narrator
from harness.run.rates import rate_from_capacity
from harness.run.replicas import by_start
from harness.run.tickets import Ends
from harness.run.up import _closed_loop
from harness.stages.manifest import STAGES_ROOT, ServiceSpec, Stage, discover_stages
from scenarios.catalog import SCENARIOS
from scenarios.dataset import DATASETS
from scenarios.model import TURN_SECONDS, CellState, Course, Load, Shape, Variant
from scenarios.plan import LoadPlan


def cell(
    stage: str = "01",
    scenario: str = "cancel",
    shape: Shape = "closed",
    *,
    repeat: int = 1,
    outcomes: Mapping[str, int] | None = None,
    memory: Mapping[str, list[float]] | None = None,
    metrics: Mapping[str, float] | None = None,
    **load: Any,
) -> CellResult:
    """A cell that took two seconds."""
    told = dict(outcomes if outcomes is not None else {OK: 100})
    return CellResult(
        stage=stage,
        scenario=scenario,
        params={},
        repeat=repeat,
        shape=shape,
        load=LoadResult(2.0, told, 10.0, 9.0, 15.0, 19.0, **load),
        cpu_seconds={"gateway": 0.2, "order": 0.4, "order#2": 0.4, "locust": 1.0},
        cpu_window_seconds=2.0,
        cpus={},
        memory_mib=memory or {"order": [80.0, 90.0]},
        sampler_cpus=0.004,
        findings=[],
        metrics=metrics or {},
    )


def options(*scenarios: str, profile: str = "full", **more: Any) -> RunOptions:
    return RunOptions(
        profile=profile,
        stages=tuple(discover_stages(STAGES_ROOT)),
        scenarios=tuple(SCENARIOS[name] for name in scenarios),
        repeats=3,
        warm_up_seconds=1.0,
        seconds=2.0,
        service_cpus=None,
        provider="embedded",
        dataset="default",
        seed=1,
        exact=False,
        **more,
    )


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


def queued(finished: float, *, answered: int = 10, ends: Mapping[str, int] | None = None, **more: Any) -> CellResult:
    """A cell in which most of the requests were told to wait; the line was drained for two seconds."""
    counts = Counter(ends or {"success": 180, "refused": 10})
    result = cell("05", "booking", outcomes={OK: answered, ACCEPTED: 190}, metrics={"finished": finished}, **more)
    return replace(
        result,
        tickets=Ends(counts, Drained(seconds=2.0)),
        until_drained=Spent({"gateway": 0.6, "order": 1.0, "order#2": 1.0, "locust": 1.0}, 4.0),
    )


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


def test_the_capacity_of_a_queue_is_what_it_finishes() -> None:
    """Of 190 tickets and 10 answers in two seconds, 45 a second were booked: more than the 40 of the other stage."""
    results = [cell("04", "booking", outcomes={OK: 80}), queued(45.0)]
    rate = rate_from_capacity("booking", 3.0, results)
    assert rate.value == 120.0
    assert "04, the slowest stage" in rate.reason


def test_an_overload_tells_who_was_answered_at_once() -> None:
    late = cell(shape="open", outcomes={OK: 60, ACCEPTED: 20, "HTTP 503": 20}, prompt=70, server_errors=20,
                p99_every_ms=512.0)  # fmt: skip
    found = {m.metric: m.median for m in summarise.measurements([late], UNCAPPED, 2)}
    assert (found["within_300ms"], found["server_errors"], found["p99_every_ms"]) == (0.7, 20.0, 512.0)


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


def test_a_mean_of_many_kinds_is_not_held_against_the_provider() -> None:
    lines = provider.references(options("cancel", "on_sale", provider_median_ms=600.0))
    assert [(line.scenario, line.metric) for line in lines] == [
        ("cancel", "refund_done_ms"), ("cancel", "mean_ms"), ("on_sale", "refund_done_ms"),
    ]  # fmt: skip


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


def test_what_is_told_over_time_is_drawn() -> None:
    courses = [
        Course("Time to the refund (ms)", 0.5, [None, 700.0], with_provider=True),
        Course("Backlog (cancellations)", 0.5, [1.0, 2.0]),
    ]
    wait, backlog = timeline(replace(cell(), courses=courses), 600.0).gauges
    assert (wait.line, wait.line_label) == (600.0, "payment provider alone, median 600 ms")
    assert (backlog.line, backlog.values) == (None, [1.0, 2.0])
    assert timeline(replace(cell(), courses=courses), 0.0).gauges[0].line is None, "it makes no latency of its own"
