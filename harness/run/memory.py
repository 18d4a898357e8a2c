"""Memory: the peaks of each cell, and those of the whole run as a table."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.extras import MemoryPeak, Table
from harness.run.cell import LOAD, CellResult
from harness.store.summary import Scalar


def memory_peak(repeats: Sequence[CellResult]) -> MemoryPeak:
    """The most that each component of one cell held at one moment, replicas together, over all repeats."""
    first = repeats[0]
    peaks: dict[str, float] = {}
    platform = 0.0
    for repeat in repeats:
        totals: dict[str, list[float]] = {}
        for name, series in repeat.memory_mib.items():
            known = totals.setdefault(component_of(name), [0.0] * len(series))
            totals[component_of(name)] = [a + b for a, b in zip(known, series, strict=True)]
        for component, series in totals.items():
            peaks[component] = max(peaks.get(component, 0.0), *series)
        of_platform = [series for component, series in totals.items() if component != LOAD]
        platform = max(platform, *(sum(moment) for moment in zip(*of_platform, strict=True)))
    return MemoryPeak(
        stage=first.stage,
        scenario=first.scenario,
        params=first.params,
        by_component={name: round(mib, 1) for name, mib in peaks.items()},
        platform=round(platform, 1),
    )


def component_of(process: str) -> str:
    """``order`` for ``order#2``, its second replica."""
    return process.partition("#")[0]


def memory_table(results: Sequence[CellResult]) -> Table:
    """The most that each process held at one moment of any cell, in MiB."""
    most: dict[str, dict[str, float]] = {}
    together: dict[str, float] = {}
    for result in results:
        held = most.setdefault(result.stage, {})
        for process, series in result.memory_mib.items():
            held[process] = max(held.get(process, 0.0), *series)
        moments = [sum(moment) for moment in zip(*result.memory_mib.values(), strict=True)]
        together[result.stage] = max(together.get(result.stage, 0.0), *moments)
    rows: list[list[Scalar | None]] = []
    for stage, held in sorted(most.items()):
        rows += [[stage, process, round(mib)] for process, mib in sorted(held.items())]
        rows.append([stage, "all together", round(together[stage])])
    cost = max(result.sampler_cpus for result in results)
    return Table(
        title="Memory",
        columns=["Stage", "Process", "Peak MiB"],
        rows=rows,
        note="Resident memory in any cell, child processes included, sampled every half second. What a server's "
        "processes share, as PostgreSQL's buffers, counts once; shared libraries count in each process. All together: "
        f"at one moment, so not the sum of the peaks. The sampling itself took at most {cost:.1%} of a core.",
    )
