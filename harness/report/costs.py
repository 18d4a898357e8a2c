"""Cost figures: CPU per successful request, stacked by component."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.cells import Cells, StageLabel, variant_label
from harness.report.format import in_unit, percent
from harness.report.palette import component_key, component_kind
from harness.report.scales import Axis, linear_axis
from harness.report.tables import DataTable, data_table
from harness.store.summary import Cost, Params

LABEL_FROM = 13.0
"""Width in percent of the plot from which a segment has room for its name."""
LEGEND_FROM = 0.005
"""Share of a stack from which a component is named in the legend; a thinner one cannot be seen, but is in the table."""
UNIT = "µs"


@dataclass(frozen=True)
class Segment:
    """One component: where its piece begins, how wide it is, and what it says."""

    component: str
    kind: str
    at: float
    width: float
    label: str
    title: str


@dataclass(frozen=True)
class CostRow:
    """One stage's stack."""

    stage: StageLabel
    segments: tuple[Segment, ...]
    total: str
    description: str


@dataclass(frozen=True)
class CostGroup:
    """The stacks of one variant of the scenario."""

    label: str
    rows: tuple[CostRow, ...]


@dataclass(frozen=True)
class CostFigure:
    """All variants on one axis, a legend of (component, kind), and the same as a table."""

    id: str
    axis: Axis
    groups: tuple[CostGroup, ...]
    legend: tuple[tuple[str, str], ...]
    table: DataTable


def cost_figure(cells: Cells, scenario: str) -> CostFigure | None:
    """The figure of a scenario's CPU costs, or None if none is known."""
    variants = cells.cost_variants(scenario)
    found = [(params, _by_stage(cells, scenario, params)) for params in variants]
    totals = [_total(costs) for _, stages in found for _, costs in stages]
    if not totals or max(totals) <= 0:
        return None
    axis = linear_axis(totals)
    stacks = [costs for _, stages in found for _, costs in stages]
    components = sorted({cost.component for costs in stacks for cost in costs}, key=component_key)
    seen = {c.component for costs in stacks for c in costs if c.cpu_us_per_request >= LEGEND_FROM * _total(costs)}
    return CostFigure(
        id=f"{scenario}-cost",
        axis=axis,
        groups=tuple(
            CostGroup(variant_label(params, variants), tuple(_row(stage, costs, axis) for stage, costs in stages))
            for params, stages in found
        ),
        legend=tuple((component, component_kind(component)) for component in components if component in seen),
        table=data_table(
            ("Stage", "Variant", *components, "Total"),
            [
                _table_row(stage, costs, variant_label(params, variants), components)
                for params, stages in found
                for stage, costs in stages
            ],
        ),
    )


def _by_stage(cells: Cells, scenario: str, params: Params) -> list[tuple[StageLabel, list[Cost]]]:
    stages = dict.fromkeys([*cells.stages, *(cost.stage for cost in cells.summary.costs)])
    found = ((cells.stage(stage), cells.platform_costs(stage, scenario, params)) for stage in stages)
    return [(stage, sorted(costs, key=lambda cost: component_key(cost.component))) for stage, costs in found if costs]


def _total(costs: list[Cost]) -> float:
    return sum(cost.cpu_us_per_request for cost in costs)


def _row(stage: StageLabel, costs: list[Cost], axis: Axis) -> CostRow:
    total = _total(costs)
    segments, before = [], 0.0
    for cost in costs:
        at, before = axis.at(before), before + cost.cpu_us_per_request
        width = round(axis.at(before) - at, 2)
        value = in_unit(cost.cpu_us_per_request, UNIT)
        share = percent(cost.cpu_us_per_request / total) if total else "0%"
        kind = component_kind(cost.component)
        label = cost.component if width >= LABEL_FROM else ""
        segments.append(Segment(cost.component, kind, at, width, label, f"{cost.component}: {value}, {share}"))
    worded = ", ".join(segment.title for segment in segments)
    return CostRow(stage, tuple(segments), in_unit(total, UNIT), f"{stage.id}: {in_unit(total, UNIT)} in all; {worded}")


def _table_row(stage: StageLabel, costs: list[Cost], variant: str, components: list[str]) -> tuple[str, ...]:
    known = {cost.component: cost.cpu_us_per_request for cost in costs}
    return (
        stage.id,
        variant,
        *(in_unit(known.get(component), UNIT) for component in components),
        in_unit(sum(known.values()), UNIT),
    )
