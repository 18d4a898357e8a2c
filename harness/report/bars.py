"""Bar figures: one bar a stage, with whiskers over the spread, a dot a repeat, and thin lines for known figures."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report.cells import Cells, StageLabel, covers, variant_label
from harness.report.extras import ReferenceLine
from harness.report.format import in_unit, number, percent, span
from harness.report.originals import ORIGINALS
from harness.report.scales import Axis, linear_axis, share_axis
from harness.report.tables import DataTable, data_table
from harness.store.doubts import is_unstable, spread_share
from harness.store.metrics import Metric, metric
from harness.store.statistics import ENOUGH_REPEATS
from harness.store.summary import Measurement, Params

METHODS = {"range": "range of the repeats", "bootstrap95": "95% bootstrap interval of the median"}


@dataclass(frozen=True)
class Badge:
    """A short doubt beside a figure; ``kind`` is ``bad``, ``warn`` or ``note``."""

    kind: str
    text: str


@dataclass(frozen=True)
class Line:
    """A thin vertical line at a known figure; ``dash`` (0..3) tells the lines of one chart apart."""

    at: float
    label: str
    dash: int
    original: bool


@dataclass(frozen=True)
class Bar:
    """One stage in a bar figure; positions in percent of the plot."""

    stage: StageLabel
    at: float
    low: float
    high: float
    dots: tuple[float, ...]
    value: str
    detail: str
    badges: tuple[Badge, ...]
    valid: bool
    description: str
    """The whole row in a sentence, for who cannot see it."""


@dataclass(frozen=True)
class BarGroup:
    """The bars of one variant of the scenario."""

    label: str
    bars: tuple[Bar, ...]
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class BarFigure:
    """All variants of one metric on one axis, and the same as a table."""

    id: str
    title: str
    hint: str
    axis: Axis
    groups: tuple[BarGroup, ...]
    table: DataTable

    @property
    def has_originals(self) -> bool:
        """Whether a figure of the original platform is drawn."""
        return any(line.original for group in self.groups for line in group.lines)


def bar_figure(cells: Cells, scenario: str, metric_id: str, references: list[ReferenceLine]) -> BarFigure | None:
    """The figure of one metric, or None if it was not measured."""
    variants = cells.variants(scenario, [metric_id])
    found = [(params, list(cells.rows(scenario, params, metric_id))) for params in variants]
    measured = [item for _, rows in found for _, item in rows]
    if not measured:
        return None
    unit = measured[0].unit
    known = [line for params in variants for line in _known(scenario, metric_id, params, references)]
    reach = [v for item in measured for v in (item.high, *item.values)] + [value for value, _, _ in known]
    axis = share_axis() if unit == "share" else linear_axis(reach)
    described = metric(metric_id, unit)
    return BarFigure(
        id=f"{scenario}-{metric_id}",
        title=described.title,
        hint=_hint(described, measured),
        axis=axis,
        groups=tuple(
            BarGroup(
                variant_label(params, variants),
                tuple(_bar(cells, stage, item, axis) for stage, item in rows),
                _lines(_known(scenario, metric_id, params, references), axis, unit),
            )
            for params, rows in found
        ),
        table=data_table(
            ("Stage", "Variant", "Median", "Low", "High", "Repeats", "Each repeat", "Spread is the"),
            [_row(stage, item, variant_label(params, variants)) for params, rows in found for stage, item in rows],
        ),
    )


def badges(item: Measurement) -> tuple[Badge, ...]:
    """The doubts of a figure, worst first."""
    found = []
    if not item.valid:
        found.append(Badge("bad", "invalid" + (f": {item.note}" if item.note else "")))
    if item.limited_by:
        found.append(Badge("warn", f"limited by {item.limited_by}"))
    if item.n >= ENOUGH_REPEATS and is_unstable(item):
        share = spread_share(item)
        found.append(Badge("warn", f"spread {percent(share)}" if share != float("inf") else "unstable"))
    if item.n < ENOUGH_REPEATS:
        found.append(Badge("note", "1 repeat" if item.n == 1 else f"{item.n} repeats"))
    return tuple(found)


def _bar(cells: Cells, stage: StageLabel, item: Measurement, axis: Axis) -> Bar:
    value, spread = in_unit(item.median, item.unit), span(item.low, item.high, item.unit)
    ceiling = cells.share_of_ceiling(item)
    of_ceiling = f"{ceiling:.0%} of ceiling" if ceiling is not None else ""
    doubts = badges(item)
    words = [f"{stage.id}: {value}", f"spread {spread}" if spread else "", of_ceiling, *(b.text for b in doubts)]
    return Bar(
        stage=stage,
        at=axis.at(item.median),
        low=axis.at(item.low),
        high=axis.at(item.high),
        dots=tuple(axis.at(one) for one in item.values) if item.n > 1 else (),
        value=value,
        detail=" · ".join(part for part in (spread, of_ceiling) if part),
        badges=doubts,
        valid=item.valid,
        description=", ".join(word for word in words if word),
    )


def _row(stage: StageLabel, item: Measurement, variant: str) -> tuple[str, ...]:
    median, low, high = (in_unit(value, item.unit) for value in (item.median, item.low, item.high))
    each = ", ".join(in_unit(value, "share") if item.unit == "share" else number(value) for value in item.values)
    return (stage.id, variant, median, low, high, str(item.n), each, METHODS[item.method])


def _known(
    scenario: str, metric_id: str, params: Params, references: list[ReferenceLine]
) -> list[tuple[float, str, bool]]:
    """Value, label and whether it is the original's, of each known figure for one variant."""
    originals = [
        (one.value, f"Java original, {one.state}", True)
        for one in ORIGINALS
        if (one.scenario, one.metric) == (scenario, metric_id) and covers(one.params, params)
    ]
    given = [
        (one.value, one.label, False)
        for one in references
        if (one.scenario, one.metric) == (scenario, metric_id) and covers(one.params, params)
    ]
    return originals + given


def _lines(known: list[tuple[float, str, bool]], axis: Axis, unit: str) -> tuple[Line, ...]:
    return tuple(
        Line(axis.at(value), f"{label}: {in_unit(value, unit)}", index % 4, original)
        for index, (value, label, original) in enumerate(known)
    )


def _hint(described: Metric, measured: list[Measurement]) -> str:
    """What is drawn, in which unit, which way is better, and what the marks mean if there are any."""
    units = {"1/s": "per second", "share": "share of all requests", "count": "count", "ms": "milliseconds"}
    unit = units.get(described.unit, described.unit)
    better = "more is better" if described.better == "higher" else "less is better"
    repeated = any(item.n > 1 for item in measured)
    marks = "bar: median of the repeats; dots: each repeat; whiskers: spread" if repeated else ""
    first = f"{described.meaning} {unit}" if described.unit == "1/s" else described.meaning or unit
    return "; ".join(part for part in (first, better, marks) if part)
