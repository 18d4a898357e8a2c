"""Cells that nobody has run, and what they came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from harness.load.result import ACCEPTED, OK, LoadResult
from harness.run.cell import CellResult, Spent
from harness.run.drain import Drained
from harness.run.options import RunOptions
from harness.run.tickets import Ends
from harness.stages.manifest import STAGES_ROOT, discover_stages
from scenarios.catalog import SCENARIOS
from scenarios.model import Shape


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


def queued(finished: float, *, answered: int = 10, ends: Mapping[str, int] | None = None, **more: Any) -> CellResult:
    """A cell in which most of the requests were told to wait; the line was drained for two seconds."""
    counts = Counter(ends or {"success": 180, "refused": 10})
    result = cell("05", "booking", outcomes={OK: answered, ACCEPTED: 190}, metrics={"finished": finished}, **more)
    return replace(
        result,
        tickets=Ends(counts, Drained(seconds=2.0)),
        until_drained=Spent({"gateway": 0.6, "order": 1.0, "order#2": 1.0, "locust": 1.0}, 4.0),
    )
