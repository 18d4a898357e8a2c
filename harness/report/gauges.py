"""Anything else over time: backlogs, queues, times to wait, drawn with the scenario that they tell of."""

from __future__ import annotations

from collections.abc import Sequence

from harness.report.cells import Cells
from harness.report.extras import GaugeSeries, Timeline
from harness.report.format import duration, number, params_label, plain
from harness.report.scales import linear_axis
from harness.report.timelines import HEIGHT, POINTS, WIDTH, Curve, Panel, Strip, by_cell


def gauge_strips(cells: Cells, scenario: str, timelines: Sequence[Timeline]) -> list[Strip]:
    """The gauges of one scenario, a strip a cell and a panel a title; a title has one scale throughout."""
    here = [timeline for timeline in timelines if timeline.scenario == scenario and timeline.gauges]
    everything = [gauge for timeline in here for gauge in timeline.gauges]
    titles = list(dict.fromkeys(gauge.title for gauge in everything))
    reach = {title: _reach([gauge for gauge in everything if gauge.title == title]) for title in titles}
    found = []
    for repeats in by_cell(cells, here):
        panels = (_panel(title, *reach[title], repeats) for title in titles)
        shown = tuple(panel for panel in panels if panel)
        if shown:
            found.append(Strip(cells.stage(repeats[0].stage), params_label(repeats[0].params), shown))
    return found


def _reach(gauges: Sequence[GaugeSeries]) -> tuple[float, float]:
    """The highest figure and the last second of one title: what all of its panels are drawn to."""
    known = [value for gauge in gauges for value in (*gauge.values, gauge.line) if value is not None]
    return linear_axis(known, intervals=4).high, max(len(gauge.values) * gauge.step_s for gauge in gauges)


def _panel(title: str, top: float, end: float, repeats: Sequence[Timeline]) -> Panel | None:
    curves, lines = [], {}
    for timeline in repeats:
        for gauge in timeline.gauges:
            if gauge.title != title or not any(value is not None for value in gauge.values):
                continue
            highest = max(value for value in gauge.values if value is not None)
            label = f"repeat {timeline.repeat}, peak {number(highest)}"
            curves.append(Curve(_line(gauge, end, top), label, (timeline.repeat - 1) % 4))
            if gauge.line is not None:
                lines[gauge.line_label] = gauge.line
    if not curves:
        return None
    for label, value in lines.items():
        height = f"{HEIGHT - value / top * HEIGHT:.1f}"
        curves.append(Curve(f"M0 {height}L{WIDTH:.0f} {height}", label, 1, "known"))
    description = f"{title}: {'; '.join(curve.label for curve in curves)}"
    return Panel(title, plain(top), duration(end), tuple(curves), (), description, filled=False)


def _line(gauge: GaugeSeries, end: float, top: float) -> str:
    """A line through the middle of each step; it breaks where there is nothing to tell."""
    path, pen = [], "M"
    every = max(1, -(-len(gauge.values) // POINTS))
    for first in range(0, len(gauge.values), every):
        known = [value for value in gauge.values[first : first + every] if value is not None]
        if not known:
            pen = "M"
            continue
        x = (first + every / 2) * gauge.step_s / end * WIDTH
        y = HEIGHT - sum(known) / len(known) / top * HEIGHT
        path.append(f"{pen}{min(WIDTH, x):.1f} {min(HEIGHT, max(0.0, y)):.1f}")
        pen = "L"
    return "".join(path)
