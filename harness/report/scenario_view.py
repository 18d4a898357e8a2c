"""Everything the report says about one scenario."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.bars import Badge, BarFigure, badges, bar_figure
from harness.report.cells import CEILING, Cells, StageLabel, scenario_title
from harness.report.costs import CostFigure, cost_figure
from harness.report.extras import ReportExtras, Table
from harness.report.format import in_unit, params_label, sentence, span
from harness.report.gauges import gauge_strips
from harness.report.latency import PERCENTILES, TABLED, LatencyFigure, latency_figure
from harness.report.originals import ORIGINALS
from harness.report.overview import Judged
from harness.report.scaling import ScalingPlot, scaling_plots
from harness.report.timelines import Strip, strips
from harness.store.metrics import metric

DRAWN = (
    "throughput",
    "finished",
    "accepted",
    "answered_well",
    "within_300ms",
    "all_answered_ms",
    "refund_done_ms",
    "ticket_done_ms",
)
"""Metrics drawn as bars wherever they were measured; others only where a hypothesis or a known figure names them."""


@dataclass(frozen=True)
class Figure:
    """A metric that is not drawn, as a row: stage, variant, what, value, spread."""

    stage: StageLabel
    variant: str
    title: str
    value: str
    spread: str
    badges: tuple[Badge, ...]


@dataclass(frozen=True)
class ScenarioView:
    """One scenario, ready to be laid out."""

    id: str
    title: str
    text: str
    notes: list[str]
    bars: list[BarFigure]
    latency: LatencyFigure | None
    cost: CostFigure | None
    scaling: list[ScalingPlot]
    others: list[Figure]
    tables: list[Table]
    judged: list[Judged]
    gauges: list[Strip]
    """What it has to tell over time beside rates, CPU and memory."""
    strips: list[Strip]

    @property
    def has_originals(self) -> bool:
        """Whether a figure of the original platform is drawn."""
        return any(figure.has_originals for figure in self.bars)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to lay out."""
        return not (self.bars or self.latency or self.cost or self.others or self.tables)


def scenario_view(cells: Cells, scenario: str, extras: ReportExtras, judged: list[Judged]) -> ScenarioView:
    """Collect the figures of a scenario."""
    given = extras.scenarios.get(scenario)
    claims = [row for row in judged if row.scenario == scenario and row.verdict != "not_measured"]
    drawn = _drawn(cells, scenario, extras)
    references = extras.references
    cost = cost_figure(cells, scenario, extras.memory)
    latency = latency_figure(cells, scenario)
    shown = {*drawn, *(TABLED if latency else []), *(["cpu_us"] if cost else []), "failures"}
    notes = list(given.notes) if given else []
    if scenario == CEILING and extras.ceiling:
        notes.insert(0, sentence(extras.ceiling))
    if "answered_well" in cells.metrics(scenario) and "answered_well" not in drawn:
        shown.add("answered_well")
        notes.insert(0, "Every request was answered well.")
    return ScenarioView(
        id=scenario,
        title=scenario_title(scenario, {scenario: given.title} if given else {}),
        text=given.text if given else "",
        notes=notes,
        bars=[figure for name in drawn if (figure := bar_figure(cells, scenario, name, references))],
        latency=latency,
        cost=cost,
        scaling=scaling_plots(cells, scenario),
        others=_others(cells, scenario, shown),
        tables=[table for table in extras.tables if table.scenario == scenario],
        judged=claims,
        gauges=gauge_strips(cells, scenario, extras.timelines),
        strips=strips(cells, scenario, extras.timelines),
    )


def _drawn(cells: Cells, scenario: str, extras: ReportExtras) -> list[str]:
    named = {one.metric for one in ORIGINALS if one.scenario == scenario}
    named |= {one.metric for one in extras.references if one.scenario == scenario}
    named |= {ratio.metric for ratio in cells.summary.ratios if ratio.scenario == scenario}
    measured = cells.metrics(scenario)
    first = [name for name in DRAWN if name in measured and (name in named or not _all_well(cells, scenario, name))]
    held_back = {*DRAWN, *PERCENTILES, "cpu_us"}
    return first + [name for name in measured if name in named and name not in held_back]


def _all_well(cells: Cells, scenario: str, metric_id: str) -> bool:
    """Whether this is the share of good answers and it was all of them, everywhere: a sentence says that better."""
    found = [m for m in cells.summary.measurements if (m.scenario, m.metric) == (scenario, metric_id)]
    return metric_id == "answered_well" and all(min(item.values) == 1 and item.valid for item in found)


def _others(cells: Cells, scenario: str, shown: set[str]) -> list[Figure]:
    return [
        Figure(
            cells.stage(item.stage),
            params_label(item.params),
            metric(item.metric, item.unit).title,
            in_unit(item.median, item.unit),
            span(item.low, item.high, item.unit),
            tuple(badge for badge in badges(item) if badge.kind != "note"),
        )
        for item in cells.summary.measurements
        if item.scenario == scenario and item.metric not in shown
    ]
