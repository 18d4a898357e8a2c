"""Throughput against the number of instances: measured, and as the Universal Scalability Law has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.cells import Cells, StageLabel
from harness.report.format import in_unit, number, percent, span
from harness.report.scales import Axis, linear_axis
from harness.report.tables import DataTable, data_table
from harness.store.scaling import ScalingLaw, fit
from harness.store.summary import Measurement

PARAM, METRIC = "replicas", "throughput"
STEPS = 60
"""Points of a drawn curve."""
BEYOND = 2
"""Instances that the curve is drawn beyond the last measured one."""


@dataclass(frozen=True)
class Dot:
    """A measured median with its spread, in percent of the plot; ``at`` counts from the left, the others from below."""

    at: float
    median: float
    low: float
    high: float
    label: str


@dataclass(frozen=True)
class ScalingPlot:
    """One stage: what was measured, the fitted curve, and that of instances that share nothing."""

    stage: StageLabel
    axis: Axis
    ticks: tuple[tuple[float, str], ...]
    dots: tuple[Dot, ...]
    fitted: str
    linear: str
    words: str
    """The coefficients in a sentence."""
    table: DataTable

    @property
    def description(self) -> str:
        """The whole plot in a sentence, for who cannot see it."""
        return f"{self.stage.id}: {'; '.join(dot.label for dot in self.dots)}. {self.words}"


def scaling_plots(cells: Cells, scenario: str) -> list[ScalingPlot]:
    """A plot for each stage that was measured with several numbers of instances."""
    found = []
    for stage in cells.stages.values():
        measured = sorted(
            (int(item.params[PARAM]), item)
            for params in cells.variants(scenario, [METRIC])
            if params.keys() == {PARAM} and isinstance(params[PARAM], int)
            for item in [cells.measurement(stage.id, scenario, params, METRIC)]
            if item is not None
        )
        law = fit([(instances, value) for instances, item in measured for value in item.values])
        if law is not None:
            found.append(_plot(stage, measured, law))
    return found


def _plot(stage: StageLabel, measured: Sequence[tuple[int, Measurement]], law: ScalingLaw) -> ScalingPlot:
    most = measured[-1][0] + BEYOND
    spots = [most * step / STEPS for step in range(STEPS + 1)]
    highest = max([law.at(spot) for spot in spots] + [item.high for _, item in measured])
    axis = linear_axis([highest], intervals=4)
    return ScalingPlot(
        stage=stage,
        axis=axis,
        ticks=tuple((round(100 * instances / most, 2), str(instances)) for instances in range(most + 1)),
        dots=tuple(
            Dot(
                round(100 * instances / most, 2),
                axis.at(item.median),
                axis.at(item.low),
                axis.at(item.high),
                f"{_instances(instances)}: {in_unit(item.median, item.unit)}",
            )
            for instances, item in measured
        ),
        fitted=_path([(spot / most, law.at(spot)) for spot in spots], axis),
        # As far as the plot is high: what leaves it would be drawn along its edge.
        linear=_path([(0.0, 0.0), (min(1.0, axis.high / law.rate / most), min(law.rate * most, axis.high))], axis),
        words=_words(law),
        table=_table(measured, law),
    )


def _path(points: Sequence[tuple[float, float]], axis: Axis) -> str:
    return "M" + "L".join(f"{1000 * x:.1f} {100 - axis.at(y):.2f}" for x, y in points)


def _words(law: ScalingLaw) -> str:
    best = law.best
    peak = f"most is done by {number(best)} instances" if best is not None else "no number of instances is too many"
    return (
        f"λ = {number(law.rate)} /s for one instance, σ = {percent(law.contention)} contention, "
        f"κ = {percent(law.coherency)} coherency: by this law {peak}."
    )


def _table(measured: Sequence[tuple[int, Measurement]], law: ScalingLaw) -> DataTable:
    """Measured beside fitted, and beside what fewer instances had let expect: that is a prediction, a fit is none."""
    rows = []
    for instances, item in measured:
        fewer = fit([(n, value) for n, other in measured if n < instances for value in other.values])
        expected = fewer.at(instances) if fewer else None
        off = percent(abs(item.median / expected - 1.0)) if expected else ""
        rows.append(
            (
                str(instances), number(item.median), span(item.low, item.high), number(law.at(instances)),
                number(expected), off, number(law.rate * instances),
            )
        )  # fmt: skip
    columns = ("Instances", "Measured", "Spread", "Fitted", "Predicted from fewer", "Off by", "Linear")
    return data_table(columns, rows)


def _instances(count: int) -> str:
    return "1 instance" if count == 1 else f"{count} instances"
