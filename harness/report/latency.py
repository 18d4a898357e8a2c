"""Latency figures: for each stage the range from the median to the 99th percentile."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.bars import METHODS, Badge, badges
from harness.report.cells import Cells, StageLabel, variant_label
from harness.report.format import in_unit, number
from harness.report.scales import Axis, latency_axis
from harness.report.tables import DataTable, data_table
from harness.store.summary import Measurement, Params

PERCENTILES = {"p50_ms": "p50", "p95_ms": "p95", "p99_ms": "p99"}
"""Metrics that are drawn, by the name of their shape."""
TABLED = {"mean_ms": "mean", **PERCENTILES}
"""Metrics in the table; a mean has no place among percentiles of a skewed distribution, so it is not drawn."""


@dataclass(frozen=True)
class Point:
    """One percentile: its name (also its shape), position in percent and value in words."""

    name: str
    at: float
    value: str


@dataclass(frozen=True)
class LatencyRow:
    """One stage: its percentiles from low to high, and the line that joins them."""

    stage: StageLabel
    points: tuple[Point, ...]
    badges: tuple[Badge, ...]
    description: str


@dataclass(frozen=True)
class LatencyGroup:
    """The rows of one variant of the scenario."""

    label: str
    rows: tuple[LatencyRow, ...]


@dataclass(frozen=True)
class LatencyFigure:
    """All variants on one axis, and the same as a table."""

    id: str
    axis: Axis
    groups: tuple[LatencyGroup, ...]
    table: DataTable


def latency_figure(cells: Cells, scenario: str) -> LatencyFigure | None:
    """The figure of a scenario's percentiles, or None if none was measured."""
    variants = cells.variants(scenario, PERCENTILES)
    found = [(params, _by_stage(cells, scenario, params)) for params in variants]
    medians = [item.median for _, stages in found for _, items in stages for item in _drawn(items)]
    if not medians:
        return None
    axis = latency_axis(medians)
    return LatencyFigure(
        id=f"{scenario}-latency",
        axis=axis,
        groups=tuple(
            LatencyGroup(
                variant_label(params, variants), tuple(_row(*entry, axis) for entry in stages if _drawn(entry[1]))
            )
            for params, stages in found
        ),
        table=data_table(
            ("Stage", "Variant", "Metric", "Median", "Low", "High", "Repeats", "Spread is the"),
            [
                _table_row(stage, item, variant_label(params, variants))
                for params, stages in found
                for stage, items in stages
                for item in items
            ],
        ),
    )


def _by_stage(cells: Cells, scenario: str, params: Params) -> list[tuple[StageLabel, list[Measurement]]]:
    stages: dict[str, tuple[StageLabel, list[Measurement]]] = {}
    for name in TABLED:
        for stage, item in cells.rows(scenario, params, name):
            stages.setdefault(stage.id, (stage, []))[1].append(item)
    order = {stage: index for index, stage in enumerate(cells.stages)}
    return sorted(stages.values(), key=lambda entry: order.get(entry[0].id, len(order)))


def _drawn(items: list[Measurement]) -> list[Measurement]:
    return [item for item in items if item.metric in PERCENTILES]


def _row(stage: StageLabel, items: list[Measurement], axis: Axis) -> LatencyRow:
    points = tuple(Point(PERCENTILES[i.metric], axis.at(i.median), number(i.median)) for i in _drawn(items))
    doubts = [badge for item in items for badge in badges(item) if badge.kind == "bad"]
    worded = ", ".join(f"{point.name} {point.value}" for point in points)
    return LatencyRow(stage, points, tuple(dict.fromkeys(doubts)), f"{stage.id}, milliseconds: {worded}")


def _table_row(stage: StageLabel, item: Measurement, variant: str) -> tuple[str, ...]:
    figures = (in_unit(value, item.unit) for value in (item.median, item.low, item.high))
    return (stage.id, variant, TABLED[item.metric], *figures, str(item.n), METHODS[item.method])
