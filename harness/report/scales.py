"""Axes: from values to positions in percent of the plot, with round ticks.

Positions are percentages, not pixels, so that one drawing fits a phone and a desktop without a script.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.report.format import plain

LOG_FROM = 30.0
"""Largest over smallest value from which an axis of latencies turns logarithmic."""
MOST_LOG_TICKS = 8
"""Ticks of a logarithmic axis up to which each step of 1, 2, 5 is labelled; beyond it, the powers of ten are."""


@dataclass(frozen=True)
class Tick:
    """A line of the grid: where, and what stands at it."""

    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A horizontal axis. ``at`` gives the position of a value in percent of its width, held within 0 and 100."""

    low: float
    high: float
    log: bool
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Position of ``value`` in percent, rounded to what a screen can show."""
        low, high, here = self.low, self.high, value
        if self.log:
            low, high, here = math.log10(low), math.log10(high), math.log10(max(value, low))
        return round(min(100.0, max(0.0, (here - low) / (high - low) * 100)), 2)


def linear_axis(values: Iterable[float], intervals: int = 5) -> Axis:
    """An axis from 0 (bars are compared by their length) to the next round number at or above the largest value."""
    top = max((value for value in values), default=0.0)
    step = _round_step(top / intervals if top > 0 else 1.0)
    count = max(1, math.ceil(top / step - 1e-9))
    ticks = tuple(Tick(round(i / count * 100, 2), plain(step * i)) for i in range(count + 1))
    return Axis(0.0, step * count, False, ticks)


def share_axis() -> Axis:
    """0 to 100%, for shares: their whole is known."""
    return Axis(0.0, 1.0, False, tuple(Tick(float(at), f"{at}%") for at in (0, 25, 50, 75, 100)))


def latency_axis(values: Iterable[float]) -> Axis:
    """A linear axis, or a logarithmic one between steps of 1, 2, 5 where the values differ by ``LOG_FROM`` or more."""
    positive = [value for value in values if value > 0]
    if not positive or max(positive) / min(positive) < LOG_FROM:
        return linear_axis(positive)
    first, last = math.floor(math.log10(min(positive))), math.ceil(math.log10(max(positive)))
    steps = [factor * 10.0**power for power in range(first, last + 1) for factor in (1, 2, 5)]
    low = max(step for step in steps if step <= min(positive))
    high = min(step for step in steps if step >= max(positive))
    shown = [step for step in steps if low <= step <= high]
    if len(shown) > MOST_LOG_TICKS:
        shown = [step for step in shown if math.log10(step).is_integer() or step in (low, high)]
    bare = Axis(low, high, True, ())
    return Axis(low, high, True, tuple(Tick(bare.at(step), plain(step)) for step in shown))


def _round_step(raw: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten that is at least ``raw``."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next((factor * power for factor in (1, 2, 2.5, 5) if factor * power >= raw * (1 - 1e-9)), 10 * power)
