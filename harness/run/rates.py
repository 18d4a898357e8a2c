"""How fast an open load comes: decided once in a run, and the same for every stage."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.run.cell import CellResult

DIGITS = 3
"""Significant digits of a rate: it names the cell."""


@dataclass(frozen=True)
class Rate:
    """Requests a second, and where the figure comes from."""

    value: float
    reason: str
    """A sentence for who reads the report."""


def given_rate(value: float) -> Rate:
    """The rate that was asked for."""
    return Rate(value, f"Fixed arrival rate: {value:g} /s, as asked for with --rate.")


def rate_from_capacity(scenario: str, share: float, results: Iterable[CellResult]) -> Rate:
    """``share`` of what the slowest stage did in the closed loop of ``scenario``, the median of its repeats.

    Where a queue took requests in, what it did is what was finished: a ticket is no work done.

    Raises:
        HarnessError: nothing was measured in the closed loop, or a stage did nothing there.
    """
    found: dict[str, list[float]] = {}
    for result in results:
        if result.scenario == scenario and result.shape == "closed":
            answered = result.load.succeeded / result.load.seconds
            done = result.metrics.get("finished", 0.0) if result.tickets else answered
            found.setdefault(result.stage, []).append(done)
    capacities = {stage: statistics.median(values) for stage, values in found.items()}
    slowest = min(capacities, key=lambda stage: capacities[stage], default=None)
    if slowest is None or capacities[slowest] <= 0:
        what = "was not measured" if slowest is None else f"gave no successful answer on {slowest}"
        raise HarnessError(
            f"There is no arrival rate: the closed loop of {scenario}, which decides it, {what}.",
            f"Measure {scenario} as well, or give a rate with --rate, in requests a second.",
        )
    capacity = capacities[slowest]
    value = float(f"{share * capacity:.{DIGITS}g}")
    others = ", the slowest stage," if len(capacities) > 1 else ""
    source = f"{share:.0%} of what {slowest}{others} did in the closed loop of {scenario}"
    return Rate(value, f"Fixed arrival rate: {value:g} /s, {source}.")
