"""What weakens a figure, in words; after pyperf, which warns of unstable numbers instead of hiding them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.store.statistics import ENOUGH_REPEATS
from harness.store.summary import Measurement

UNSTABLE_SHARE = 0.2
"""Spread (high - low) over median above which a figure is called unstable."""


def doubts(measurement: Measurement) -> list[str]:
    """Phrases on what weakens one figure: invalidity, few repeats, a wide spread, a limit outside the platform."""
    found = []
    if not measurement.valid:
        found.append("invalid: " + (measurement.note or "no reason recorded"))
    if measurement.n < ENOUGH_REPEATS:
        found.append(f"only {_repeats(measurement.n)}")
    elif is_unstable(measurement):
        found.append(f"unstable: the repeats spread over {_percent(measurement)} of their median")
    if measurement.limited_by:
        found.append(f"limited by {measurement.limited_by}")
    return found


def caveats(measurements: Sequence[Measurement]) -> list[str]:
    """The doubts of a run as plain sentences, gathered so that each is said once."""
    return [
        *_invalid(measurements),
        *_few_repeats(measurements),
        *_unstable(measurements),
        *_limited(measurements),
    ]


def is_unstable(measurement: Measurement) -> bool:
    """Whether the repeats differ by more than ``UNSTABLE_SHARE`` of their median; counts of rare events may."""
    return measurement.unit != "count" and spread_share(measurement) > UNSTABLE_SHARE


def spread_share(measurement: Measurement) -> float:
    """Width of the spread over the median; 0 if all repeats agree, infinite for a median of 0 on which they do not."""
    width = measurement.high - measurement.low
    if width == 0:
        return 0.0
    return width / abs(measurement.median) if measurement.median else float("inf")


def _invalid(measurements: Iterable[Measurement]) -> list[str]:
    places: dict[tuple[str, str], list[str]] = {}
    for item in measurements:
        if not item.valid:
            _add(places, (item.scenario, item.note or "no reason recorded"), _cell(item))
    return [
        f"{scenario}, {_join(cells)}: not valid ({note.rstrip('.')})." for (scenario, note), cells in places.items()
    ]


def _few_repeats(measurements: Sequence[Measurement]) -> list[str]:
    few = [item for item in measurements if item.n < ENOUGH_REPEATS]
    if not few:
        return []
    most = max(item.n for item in few)
    which = "Every figure" if len(few) == len(measurements) else f"{_join(_unique(i.scenario for i in few))}: a figure"
    at_most = "at most " if most > 1 else "only "
    return [f"{which} rests on {at_most}{_repeats(most)}; {ENOUGH_REPEATS} are needed for a verdict."]


def _unstable(measurements: Iterable[Measurement]) -> list[str]:
    places: dict[tuple[str, str], list[str]] = {}
    for item in measurements:
        if item.n >= ENOUGH_REPEATS and item.valid and is_unstable(item):
            _add(places, (item.scenario, _cell(item)), f"{item.metric} over {_percent(item)}")
    return [
        f"{scenario}, {cell}: the repeats spread widely ({_join(found)} of the median)."
        for (scenario, cell), found in places.items()
    ]


def _limited(measurements: Iterable[Measurement]) -> list[str]:
    places: dict[tuple[str, str], list[str]] = {}
    for item in measurements:
        if item.limited_by:
            _add(places, (item.scenario, item.limited_by), _cell(item))
    return [
        f"{scenario}, {_join(cells)}: {_named(limit)} saturated, so the figure is a lower bound for the platform."
        for (scenario, limit), cells in places.items()
    ]


def _add(places: dict[tuple[str, str], list[str]], key: tuple[str, str], value: str) -> None:
    found = places.setdefault(key, [])
    if value not in found:
        found.append(value)


def _cell(item: Measurement) -> str:
    params = ", ".join(f"{key} {value}" for key, value in item.params.items())
    return f"{item.stage} ({params})" if params else item.stage


def _percent(measurement: Measurement) -> str:
    share = spread_share(measurement)
    return f"{share:.0%}" if share != float("inf") else "more than all"


def _repeats(count: int) -> str:
    return "1 repeat" if count == 1 else f"{count} repeats"


def _named(limit: str) -> str:
    parts = ["the machine itself" if part == "machine" else part for part in limit.split(" + ")]
    return _join(parts) + (" was" if len(parts) == 1 else " were")


def _unique(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def _join(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
