"""Cost figures: CPU per successful request, stacked by component; in the table, the memory beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.cells import Cells, StageLabel, key, ordered, variant_label
from harness.report.extras import MemoryPeak
from harness.report.format import in_unit, percent
from harness.report.palette import LOAD_GENERATOR, component_key, component_kind
from harness.report.scales import Axis, linear_axis
from harness.report.tables import DataTable, data_table
from harness.store.summary import Cost, Params

LABEL_FROM = 13.0
"""Width in percent of the plot from which a segment has room for its name."""
LEGEND_FROM = 0.005
"""Share of a stack from which a component is named in the legend; a thinner one cannot be seen, but is in the table."""
UNIT = "µs"
CPU, MEMORY = "CPU for each request", "Peak memory"


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
    """All variants on one axis, a legend of (component, kind), and the same as a table.

    Where no CPU for each request is known, as of a burst, there are no groups, and the table has the memory alone.
    """

    id: str
    axis: Axis
    groups: tuple[CostGroup, ...]
    legend: tuple[tuple[str, str], ...]
    table: DataTable
    has_memory: bool


def cost_figure(cells: Cells, scenario: str, memory: Sequence[MemoryPeak] = ()) -> CostFigure | None:
    """The figure of a scenario's costs, or None if none is known."""
    peaks = [peak for peak in memory if peak.scenario == scenario]
    variants = _variants(cells, scenario, peaks)
    found = [(params, _by_stage(cells, scenario, params)) for params in variants]
    found = [(params, stages) for params, stages in found if stages]
    stacks = [costs for _, stages in found for _, costs in stages]
    totals = [_total(costs) for costs in stacks]
    if max(totals, default=0) <= 0:
        found, stacks, totals = [], [], []
    if not (totals or peaks):
        return None
    axis = linear_axis(totals)
    names = {cost.component for costs in stacks for cost in costs} | {
        name for peak in peaks for name in peak.by_component
    }
    seen = {c.component for costs in stacks for c in costs if c.cpu_us_per_request >= LEGEND_FROM * _total(costs)}
    return CostFigure(
        id=f"{scenario}-cost",
        axis=axis,
        groups=tuple(
            CostGroup(variant_label(params, variants), tuple(_row(stage, costs, axis) for stage, costs in stages))
            for params, stages in found
        ),
        legend=tuple((name, component_kind(name)) for name in sorted(names, key=component_key) if name in seen),
        table=_table(cells, variants, found, peaks, sorted(names - {LOAD_GENERATOR}, key=component_key)),
        has_memory=bool(peaks),
    )


def _variants(cells: Cells, scenario: str, peaks: Sequence[MemoryPeak]) -> list[Params]:
    """The params of every cell of which CPU or memory is known, in the order of the other figures."""
    known = [*cells.cost_variants(scenario), *(peak.params for peak in peaks)]
    return ordered({key(params): params for params in known}.values())


_StageCosts = tuple[StageLabel, list[Cost]]


def _table(
    cells: Cells,
    variants: list[Params],
    found: list[tuple[Params, list[_StageCosts]]],
    peaks: Sequence[MemoryPeak],
    components: list[str],
) -> DataTable:
    """CPU and memory of each cell, one row each. The load generator stands last, since no total has it."""
    cpu = {(stage.id, key(params)): costs for params, stages in found for stage, costs in stages}
    held = {(peak.stage, key(peak.params)): peak for peak in peaks}
    rows: list[tuple[str, ...]] = []
    for params in variants:
        for stage in dict.fromkeys([*cells.stages, *(stage for stage, _ in [*cpu, *held])]):
            cell, label = (stage, key(params)), variant_label(params, variants)
            if cell in cpu:
                spent = {cost.component: cost.cpu_us_per_request for cost in cpu[cell]}
                figures = [in_unit(spent.get(name), UNIT) for name in components]
                rows.append((stage, label, CPU, *figures, in_unit(sum(spent.values()), UNIT), ""))
            if cell in held:
                peak = held[cell]
                figures = [in_unit(peak.by_component.get(name), "MiB") for name in components]
                load = in_unit(peak.by_component.get(LOAD_GENERATOR), "MiB")
                rows.append((stage, label, MEMORY, *figures, in_unit(peak.platform, "MiB"), load))
    return data_table(("Stage", "Variant", "Metric", *components, "Together", LOAD_GENERATOR), rows)


def _by_stage(cells: Cells, scenario: str, params: Params) -> list[_StageCosts]:
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
