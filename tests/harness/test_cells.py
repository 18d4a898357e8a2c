"""Between measuring and telling: which cells a run has, how fast an open load comes, what becomes of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import HarnessError
from harness.launch.running import UNCAPPED
from harness.load.result import OK, REFUSED, LoadResult
from harness.run import execute, provider, summarise
from harness.run.beside import timeline
from harness.run.cell import CellResult, load_plan
from harness.run.memory import memory_peak, memory_table
from harness.run.options import RunOptions
from harness.run.progress import Narrator
from harness.run.rates import rate_from_capacity
from harness.stages.manifest import STAGES_ROOT, Stage, discover_stages
from scenarios.catalog import SCENARIOS
from scenarios.dataset import DATASETS
from scenarios.model import CellState, Load, Shape, Variant


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
    assert told(options("cancel", "booking").phases) == [["cancel closed", "booking closed"], ["cancel open"]]
    assert told(options("booking").phases) == [["booking closed"]]


def test_a_rate_that_is_given_need_not_be_waited_for() -> None:
    assert told(options("cancel", "booking", rate=5.0).phases) == [["cancel closed", "cancel open", "booking closed"]]


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
    assert "50% of the throughput that 02, the slowest stage, had in the closed loop" in rate.reason


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
        "answered_well": 0.999, "failures": 1.0, "winners": 1.0,
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
