"""Timelines: rates, CPU and memory over time, as paths in a 1000 x 100 box that stretches to the panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.report.cells import Cells, StageLabel, key
from harness.report.extras import Timeline
from harness.report.format import duration, in_unit, number, params_label, plain
from harness.report.palette import component_key, component_kind
from harness.report.scales import linear_axis

POINTS = 240
"""Points a line keeps; more cannot be told apart on a screen and would swell the file."""
IDLE_CPUS, SMALL_MIB = 0.005, 1.0
"""Mean CPU and memory below which a process is not drawn: it would be a hairline with a name."""
WIDTH, HEIGHT = 1000.0, 100.0


@dataclass(frozen=True)
class Curve:
    """One line or area: its path, what it is and its figure, its dash (0..3, lines) and kind (areas, failures)."""

    path: str
    label: str
    dash: int = 0
    kind: str = ""


@dataclass(frozen=True)
class Event:
    """A moment marked in a panel, in percent of its width."""

    at: float
    label: str


@dataclass(frozen=True)
class Panel:
    """One small chart."""

    title: str
    top: str
    end: str
    curves: tuple[Curve, ...]
    events: tuple[Event, ...]
    description: str
    filled: bool


@dataclass(frozen=True)
class Strip:
    """The panels of one stage in one cell: rate, CPU and memory, or gauges."""

    stage: StageLabel
    label: str
    panels: tuple[Panel, ...]


def strips(cells: Cells, scenario: str, timelines: Sequence[Timeline]) -> list[Strip]:
    """The timelines of one scenario, a strip a cell; each kind of panel has one scale throughout, to compare."""
    here = [timeline for timeline in timelines if timeline.scenario == scenario]
    rate_top = _top(
        [v for t in here for per_s in (t.requests_per_s, t.accepted_per_s, t.failures_per_s) for v in _thin(per_s)]
    )
    cpu_top = _top([max(_totals(t.cpu), default=0.0) for t in here])
    memory_top = _top([max(_totals(t.memory_mib), default=0.0) for t in here])
    found = []
    for repeats in by_cell(cells, here):
        panels = [
            _rate_panel(repeats, rate_top),
            _cpu_panel(repeats, cpu_top),
            _memory_panel(repeats, memory_top),
        ]
        shown = tuple(panel for panel in panels if panel)
        if shown:
            found.append(Strip(cells.stage(repeats[0].stage), params_label(repeats[0].params), shown))
    return found


def by_cell(cells: Cells, timelines: Sequence[Timeline]) -> list[list[Timeline]]:
    """The repeats of each cell, in the order of the stages."""
    grouped: dict[tuple[str, object], list[Timeline]] = {}
    for timeline in timelines:
        grouped.setdefault((timeline.stage, key(timeline.params)), []).append(timeline)
    order = {stage: index for index, stage in enumerate(cells.stages)}
    found = sorted(grouped.values(), key=lambda group: order.get(group[0].stage, len(order)))
    return [sorted(repeats, key=lambda timeline: timeline.repeat) for repeats in found]


def _rate_panel(repeats: list[Timeline], top: float) -> Panel | None:
    drawn = [timeline for timeline in repeats if timeline.requests_per_s]
    if not drawn:
        return None
    end = max(len(timeline.requests_per_s) * timeline.step_s for timeline in drawn)
    curves = []
    for timeline in drawn:
        values, dash = timeline.requests_per_s, (timeline.repeat - 1) % 4
        mean = f"repeat {timeline.repeat}, mean {in_unit(sum(values) / len(values), '1/s')}"
        curves.append(Curve(_line(values, timeline.step_s, end, top), mean, dash))
    for timeline in drawn:
        values, dash = timeline.accepted_per_s, (timeline.repeat - 1) % 4
        if any(values):
            mean = f"tickets, repeat {timeline.repeat}, mean {in_unit(sum(values) / len(values), '1/s')}"
            curves.append(Curve(_line(values, timeline.step_s, end, top), mean, dash, "tickets"))
    for timeline in drawn:
        values, dash = timeline.failures_per_s, (timeline.repeat - 1) % 4
        if any(values):
            peak = f"failures, repeat {timeline.repeat}, peak {in_unit(max(values), '1/s')}"
            curves.append(Curve(_line(values, timeline.step_s, end, top), peak, dash, "failed"))
    return _panel(drawn[0].requests_title, top, end, curves, _events(drawn, end))


def _cpu_panel(repeats: list[Timeline], top: float) -> Panel | None:
    """CPU by process of the last repeat that sampled it, stacked: overlaid stacks could not be read."""
    timeline = next((one for one in reversed(repeats) if one.cpu), None)
    if timeline is None:
        return None
    busy = {name: v for name, v in timeline.cpu.items() if v and sum(v) >= IDLE_CPUS * len(v)}
    return _stack(
        f"CPUs in use by process, repeat {timeline.repeat}",
        timeline,
        busy,
        top,
        lambda name, values: f"{name}, mean {sum(values) / len(values):.2f}",
    )


def _memory_panel(repeats: list[Timeline], top: float) -> Panel | None:
    """Memory by process, as CPU."""
    timeline = next((one for one in reversed(repeats) if one.memory_mib), None)
    if timeline is None:
        return None
    large = {name: v for name, v in timeline.memory_mib.items() if v and sum(v) >= SMALL_MIB * len(v)}
    return _stack(
        f"MiB resident by process, repeat {timeline.repeat}",
        timeline,
        large,
        top,
        lambda name, values: f"{name}, peak {number(max(values))}",
    )


def _stack(
    title: str,
    timeline: Timeline,
    series: Mapping[str, Sequence[float]],
    top: float,
    label: Callable[[str, Sequence[float]], str],
) -> Panel | None:
    """Areas upon each other, from the client inwards."""
    longest = max((len(values) for values in series.values()), default=0)
    if not longest:
        return None
    end, below, curves = longest * timeline.sample_step_s, [0.0] * longest, []
    for name in sorted(series, key=component_key):
        values = [*series[name], *([0.0] * (longest - len(series[name])))]
        above = [low + value for low, value in zip(below, values, strict=True)]
        curves.append(Curve(_area(below, above, top), label(name, values), kind=component_kind(name)))
        below = above
    return _panel(title, top, end, curves, _events([timeline], end), filled=True)


def _panel(
    title: str, top: float, end: float, curves: list[Curve], events: tuple[Event, ...], *, filled: bool = False
) -> Panel:
    worded = "; ".join([*(curve.label for curve in curves), *(event.label for event in events)])
    return Panel(title, plain(top), duration(end), tuple(curves), events, f"{title}: {worded}", filled)


def _events(timelines: list[Timeline], end: float) -> tuple[Event, ...]:
    found = dict.fromkeys((event.at_s, event.label) for timeline in timelines for event in timeline.events)
    return tuple(
        Event(round(at / end * 100, 2), f"{label} at {duration(at)}") for at, label in sorted(found) if 0 <= at <= end
    )


def _line(values: Sequence[float], step: float, end: float, top: float) -> str:
    """Polyline through the middle of each bucket."""
    thin = _thin(values)
    width = step * len(values) / len(thin) if thin else step
    points = ((((i + 0.5) * width) / end * WIDTH, HEIGHT - value / top * HEIGHT) for i, value in enumerate(thin))
    return "M" + "L".join(f"{x:.1f} {min(HEIGHT, max(0.0, y)):.1f}" for x, y in points)


def _area(below: Sequence[float], above: Sequence[float], top: float) -> str:
    low, high = _thin(below), _thin(above)
    last = max(1, len(high) - 1)
    spots = [(i / last * WIDTH, HEIGHT - v / top * HEIGHT) for i, v in enumerate(high)]
    spots += [(i / last * WIDTH, HEIGHT - low[i] / top * HEIGHT) for i in reversed(range(len(low)))]
    return "M" + "L".join(f"{x:.1f} {min(HEIGHT, max(0.0, y)):.1f}" for x, y in spots) + "Z"


def _thin(values: Sequence[float]) -> list[float]:
    """At most ``POINTS`` values, each the mean of its share of the given ones, so that no burst is skipped."""
    if len(values) <= POINTS:
        return list(values)
    edges = [round(i * len(values) / POINTS) for i in range(POINTS + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in pairwise(edges)]


def _totals(series: Mapping[str, Sequence[float]]) -> list[float]:
    longest = max((len(values) for values in series.values()), default=0)
    return [sum(values[i] for values in series.values() if i < len(values)) for i in range(longest)]


def _top(values: Sequence[float]) -> float:
    return linear_axis(values, intervals=4).high
