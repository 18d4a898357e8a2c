"""What the cache did, where a stage has one: from the services' own counters."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from harness.report.extras import Table
from harness.run.cell import CellResult
from harness.sample.scrape import Reading, label_values, total
from harness.store.summary import Scalar

REQUESTS = "concert_cache_requests_total"
LOADS = "concert_cache_load_seconds"
ERRORS = "concert_cache_errors_total"
EVICTED = "concert_cache_evicted_keys"

# Outcomes that cost no load: found, or loaded for somebody else at that moment.
_SPARED = ("hit", "shared")


def cache_tables(results: Sequence[CellResult]) -> list[Table]:
    """A table a scenario in which a cache was asked anything: what it spared, what a load takes, what went wrong."""
    rows: dict[str, list[list[Scalar | None]]] = defaultdict(list)
    for (stage, scenario), counted in _by_cell(results).items():
        for kind in label_values(counted, REQUESTS, "kind"):
            asked = total(counted, REQUESTS, kind=kind)
            loads = total(counted, f"{LOADS}_count", kind=kind)
            if not asked:
                continue
            hits, shared = (total(counted, REQUESTS, kind=kind, outcome=outcome) for outcome in _SPARED)
            rows[scenario].append(
                [
                    stage,
                    kind,
                    round(asked),
                    round(100 * hits / asked, 1),
                    round(100 * shared / asked, 1),
                    round(loads),
                    round(1000 * total(counted, f"{LOADS}_sum", kind=kind) / loads, 1) if loads else None,
                    round(total(counted, ERRORS)),
                    round(total(counted, EVICTED)),
                ]
            )
    columns = [
        "Stage",
        "Answer",
        "Asked",
        "Hits (%)",
        "Shared (%)",
        "Loads",
        "Mean load (ms)",
        "Errors",
        "Evicted keys",
    ]
    note = (
        "In the measured parts of all repeats. Hits were answered with stored bytes; shared ones waited for a load "
        "that was under way; its time is the mean. Errors are commands that the cache server did not answer; evicted "
        "keys are the server's, since its start."
    )
    return [
        Table(title="Cache", scenario=scenario, columns=columns, rows=found, note=note)
        for scenario, found in rows.items()
    ]


def _by_cell(results: Sequence[CellResult]) -> dict[tuple[str, str], dict[Reading, float]]:
    """What was counted in all repeats together; of a gauge, the most."""
    cells: dict[tuple[str, str], dict[Reading, float]] = defaultdict(dict)
    for result in results:
        counted = cells[result.stage, result.scenario]
        for reading, value in result.counted.items():
            known = counted.get(reading, 0.0)
            counted[reading] = max(known, value) if reading.name == EVICTED else known + value
    return cells
