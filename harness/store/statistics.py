"""Medians, spreads and ratios of repeats.

A run has few repeats (three by default), so nothing here assumes a distribution. Below ``BOOTSTRAP_FROM`` repeats the
spread is their plain range; from there on it is a 95% percentile interval of the bootstrapped median (Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13), seeded so that one set of values gives one interval.
"""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.store.summary import Method, Verdict

_T = TypeVar("_T")

BOOTSTRAP_FROM = 6
"""Repeats from which the bootstrap is used; below that, resampling a handful of values pretends to know too much."""
RESAMPLES = 2_000
CONFIDENCE = 0.95
ENOUGH_REPEATS = 3
"""Below this, no verdict is given and every figure carries a caveat."""


@dataclass(frozen=True)
class Estimate:
    """A median (or ratio of medians) with its spread; ``low <= value <= high``, in the unit of the values."""

    value: float
    low: float
    high: float
    n: int
    method: Method


def estimate(values: Sequence[float], *, seed: int = 0) -> Estimate:
    """Median and spread of the repeats; their order does not matter.

    Raises ValueError if there is no value.
    """
    if not values:
        raise ValueError("a measurement needs at least one value")
    ordered = sorted(values)
    value = statistics.median(ordered)
    if len(ordered) < BOOTSTRAP_FROM:
        return Estimate(value, ordered[0], ordered[-1], len(ordered), "range")
    low, high = _bootstrap(ordered, statistics.median, seed)
    return Estimate(value, min(low, value), max(high, value), len(ordered), "bootstrap95")


def ratio(stage: Sequence[float], against: Sequence[float], *, seed: int = 0) -> Estimate | None:
    """Median of ``stage`` over median of ``against``, with the spread of the paired ratios.

    Repeats of the two are interleaved, so repeat i of one ran beside repeat i of the other, and dividing pairs takes
    the machine's slow drift out of the spread. The ratio of the medians always lies within the range of the paired
    ratios: if r is the smallest of them, stage_i >= r * against_i for every i, and so for the medians.

    Where a repeat is missing, pairs cannot be told, and the widest ratios that the values permit are taken instead.
    None if a value of ``against`` is not positive or one of ``stage`` is negative: such a ratio has no meaning.

    Raises ValueError if either has no value.
    """
    if not stage or not against:
        raise ValueError("a ratio needs at least one value of each stage")
    if min(against) <= 0 or min(stage) < 0:
        return None
    value = statistics.median(stage) / statistics.median(against)
    n = min(len(stage), len(against))
    if len(stage) != len(against):
        low, high = min(stage) / max(against), max(stage) / min(against)
        return Estimate(value, low, high, n, "range")
    pairs = sorted(zip(stage, against, strict=True))
    if n < BOOTSTRAP_FROM:
        quotients = [left / right for left, right in pairs]
        # Rounding may put the ratio of the medians a hair outside the range that contains it.
        return Estimate(value, min(*quotients, value), max(*quotients, value), n, "range")
    low, high = _bootstrap(pairs, _ratio_of_medians, seed)
    return Estimate(value, min(low, value), max(high, value), n, "bootstrap95")


def verdict(spread: Estimate, *, at_least: float | None = None, at_most: float | None = None) -> Verdict:
    """Whether the whole interval lies on one side of the bound, the bound itself being on the right side.

    ``inconclusive`` if the bound lies inside the interval or there are fewer than ``ENOUGH_REPEATS`` repeats. Whether
    the two stages can be compared at all is not judged here (see ``harness.store.ratios``).

    Raises ValueError unless exactly one bound is given.
    """
    if (at_least is None) == (at_most is None):
        raise ValueError("exactly one of at_least and at_most must be given")
    if spread.n < ENOUGH_REPEATS:
        return "inconclusive"
    if at_least is not None:
        right, wrong = spread.low >= at_least, spread.high < at_least
    else:
        assert at_most is not None
        right, wrong = spread.high <= at_most, spread.low > at_most
    return "confirmed" if right else "refuted" if wrong else "inconclusive"


def _ratio_of_medians(pairs: Sequence[tuple[float, float]]) -> float:
    return statistics.median(pair[0] for pair in pairs) / statistics.median(pair[1] for pair in pairs)


def _bootstrap(sample: Sequence[_T], statistic: Callable[[Sequence[_T]], float], seed: int) -> tuple[float, float]:
    """Percentile interval of ``statistic`` over ``RESAMPLES`` resamples with replacement."""
    generator = random.Random(seed)
    found = sorted(statistic(generator.choices(sample, k=len(sample))) for _ in range(RESAMPLES))
    tail = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return found[tail], found[-1 - tail]
