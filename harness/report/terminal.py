"""The end of a run in the terminal: one line a cell, and one a hypothesis."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.cells import Cells, StageLabel, variant_label
from harness.report.format import in_unit, span
from harness.report.overview import Banner, Judged, banner, judged
from harness.store.doubts import caveats
from harness.store.metrics import metric
from harness.store.summary import Measurement, Params, Summary

SHOWN = ("throughput", "p95_ms", "cpu_us")
QUEUED = ("finished", "accepted")
"""Metrics of the cells in which a queue took requests in; shown where there is one."""
BURST = "all_answered_ms"
"""A metric that only a burst has: it has an end, and no rate."""
SHOWN_OF_BURSTS = ("answered_well", "winners", BURST, "p95_ms")
MOST_CAVEATS = 6
"""Caveats that the terminal shows; the report has them all."""
TONES = {"good": "green", "warn": "yellow", "bad": "red bold", "none": "dim"}


def print_summary(summary: Summary, console: Console) -> None:
    """Print figures, caveats, verdicts and last the audit's result, so that the last line says whether all is well."""
    cells = Cells(summary)
    for figures in (figures_table(cells), bursts_table(cells)):
        if figures.row_count:
            console.print(figures)
    doubts = caveats(summary.measurements)
    for doubt in doubts[:MOST_CAVEATS]:
        console.print(Text(f"! {doubt}", style=TONES["warn"]))
    if len(doubts) > MOST_CAVEATS:
        console.print(Text(f"! and {len(doubts) - MOST_CAVEATS} more caveats in the report", style=TONES["warn"]))
    for row in judged(cells, {}):
        if row.verdict != "not_measured":
            console.print(_claim(row))
    console.print(_outcome(banner(summary)))


def figures_table(cells: Cells) -> Table:
    """Scenario by stage: throughput with spread, 95th percentile, CPU per request, audit."""
    queued = any(measurement.metric == "accepted" for measurement in cells.summary.measurements)
    more = QUEUED if queued else ()
    table = _table("Throughput", "(spread)", *(metric(name).title for name in more), "p95", "CPU/request")
    for scenario, stage, params in _cells_of(cells, burst=False):
        throughput, p95, cpu = (cells.measurement(stage.id, scenario, params, name) for name in SHOWN)
        table.add_row(
            *_names(scenario, stage, params),
            Text(_value(throughput)),
            Text(span(throughput.low, throughput.high) if throughput else "", style="dim"),
            *(Text(_value(cells.measurement(stage.id, scenario, params, name))) for name in more),
            Text(_value(p95)),
            Text(_value(cpu) if cpu else _cost(cells, stage, scenario, params)),
            _audit(cells, stage, scenario, params),
        )
    return table


def bursts_table(cells: Cells) -> Table:
    """Scenario by stage, where all clients come at one moment: who was answered, and how long that took."""
    table = _table("Answered well", "Winners", "All answered", "p95")
    for scenario, stage, params in _cells_of(cells, burst=True):
        figures = (cells.measurement(stage.id, scenario, params, name) for name in SHOWN_OF_BURSTS)
        table.add_row(
            *_names(scenario, stage, params),
            *(Text(_value(figure)) for figure in figures),
            _audit(cells, stage, scenario, params),
        )
    return table


def _table(*figures: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Scenario", overflow="fold")
    table.add_column("Stage", no_wrap=True)
    for title in figures:
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("Audit", no_wrap=True)
    return table


def _cells_of(cells: Cells, *, burst: bool) -> Iterator[tuple[str, StageLabel, Params]]:
    """The cells with figures of the one kind or the other."""
    shown = SHOWN_OF_BURSTS if burst else SHOWN
    for scenario in cells.scenarios():
        for params in cells.variants(scenario, shown):
            seen = {stage.id: stage for name in shown for stage, _ in cells.rows(scenario, params, name)}
            for stage in seen.values():
                if burst == (cells.measurement(stage.id, scenario, params, BURST) is not None):
                    yield scenario, stage, params


def _names(scenario: str, stage: StageLabel, params: Params) -> tuple[Text, Text]:
    label = variant_label(params, [params])
    return Text(f"{scenario} ({label})" if label else scenario), Text(stage.id)


def _value(measurement: Measurement | None) -> str:
    return in_unit(measurement.median, measurement.unit) if measurement else in_unit(None, "")


def _cost(cells: Cells, stage: StageLabel, scenario: str, params: Params) -> str:
    costs = cells.platform_costs(stage.id, scenario, params)
    return in_unit(sum(cost.cpu_us_per_request for cost in costs) if costs else None, "µs")


def _audit(cells: Cells, stage: StageLabel, scenario: str, params: Params) -> Text:
    audits = cells.audits(stage.id, scenario, params)
    broken = sum(audit.violations for audit in audits if audit.broken)
    declared = sum(audit.violations for audit in audits if not audit.broken)
    if not audits:
        return Text("–", style=TONES["none"])
    if broken:
        return Text(f"✕ {broken:,} broken", style=TONES["bad"])
    if declared:
        return Text(f"! {declared:,} declared", style=TONES["warn"])
    return Text("✓ held", style=TONES["good"])


def _claim(row: Judged) -> Text:
    spread = f" ({row.spread})" if row.spread else ""
    note = f": {row.note}" if row.note else ""
    claim = f" {row.stage.id} / {row.against.id}, {row.scenario_title}, {row.metric.lower()}: {row.ratio}{spread}"
    verdict = Text(f"{row.sign} {row.words}", style=TONES[row.tone])
    return Text.assemble(verdict, Text(f"{claim}, claimed {row.bound}{note}"))


def _outcome(result: Banner) -> Text:
    return Text.assemble(Text(result.title, style=TONES[result.tone]), Text(f": {result.text}"))
