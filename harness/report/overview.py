"""The parts of the report that look at the run as a whole: verdict, findings, hypotheses, audits, failures, lessons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.report.cells import Cells, StageLabel, key, scenario_title
from harness.report.extras import DiffFile, FailureCount, StageDiff
from harness.report.format import TIMES, in_unit, params_label, plain, span, times
from harness.store.metrics import metric
from harness.store.summary import Audit, Hypothesis, Measurement, Ratio, Summary

VERDICTS = {
    "confirmed": ("good", "✓", "confirmed"),
    "refuted": ("bad", "✕", "refuted"),
    "inconclusive": ("warn", "~", "inconclusive"),
    "not_comparable": ("none", "∅", "not comparable"),
    "not_measured": ("none", "–", "not measured in this run"),
}
"""Verdict to tone, sign and words: three ways to tell them apart, of which colour is only one."""


@dataclass(frozen=True)
class Banner:
    """The verdict on correctness; ``tone`` is ``good``, ``warn``, ``bad`` or ``none``."""

    tone: str
    title: str
    text: str


@dataclass(frozen=True)
class Judged:
    """One hypothesis on one cell, as a row."""

    id: str
    stage: StageLabel
    against: StageLabel
    scenario: str
    scenario_title: str
    metric: str
    bound: str
    why: str
    ratio: str
    spread: str
    verdict: str
    note: str

    @property
    def tone(self) -> str:
        """Tone of the verdict."""
        return VERDICTS[self.verdict][0]

    @property
    def sign(self) -> str:
        """Sign of the verdict."""
        return VERDICTS[self.verdict][1]

    @property
    def words(self) -> str:
        """The verdict in words."""
        return VERDICTS[self.verdict][2]


@dataclass(frozen=True)
class AuditRow:
    """One rule in one variant of a scenario: what was found at each stage, in the order of the stages."""

    scenario: str
    label: str
    rule: str
    found: tuple[Audit | None, ...]


@dataclass(frozen=True)
class Lesson:
    """A stage's difference from the one before, and what it did to the figures that both have."""

    stage: StageLabel
    against: StageLabel
    improvement: str
    files: list[DiffFile]
    additions: int
    deletions: int
    effects: tuple[tuple[str, str, str], ...]
    """Scenario and metric, before and after, ratio."""


def banner(summary: Summary) -> Banner:
    """Green if every rule held, amber if only declared defects showed, red if a rule was broken."""
    broken = [audit for audit in summary.audits if audit.broken]
    declared = [audit for audit in summary.audits if audit.violations and audit.declared]
    checks = len(summary.audits)
    if broken:
        first = broken[0]
        where = f"{first.rule} at {first.stage}, {first.scenario}"
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        found = sum(audit.violations for audit in broken)
        return Banner("bad", "A correctness rule was broken", f"{where}{more}: {_count(found, 'violation')} in all.")
    if declared:
        stages = ", ".join(dict.fromkeys(audit.stage for audit in declared))
        text = f"{_count(checks, 'check')}; violations only where {stages} declares a known defect."
        return Banner("warn", "Audits passed, with declared defects", text)
    if checks:
        rules = ", ".join(sorted({audit.rule.replace("_", " ") for audit in summary.audits}))
        return Banner("good", "All audits passed", f"{_count(checks, 'check')}: {rules}.")
    return Banner("none", "No audit was made", "This run checked no correctness rule, so it shows speed alone.")


def judged(cells: Cells, titles: dict[str, str]) -> list[Judged]:
    """Every hypothesis of every stage with its ratios; one that nothing was measured for says so."""
    summary = cells.summary
    ratios = list(summary.ratios)
    rows = []
    for stage in summary.stages:
        for hypothesis in stage.hypotheses:
            mine = [ratio for ratio in ratios if (ratio.stage, ratio.hypothesis) == (stage.id, hypothesis.id)]
            rows += [_judged(cells, hypothesis, ratio, titles) for ratio in mine] or [
                _unmeasured(cells, stage.id, hypothesis, titles)
            ]
    return rows


def audit_rows(cells: Cells, titles: dict[str, str]) -> list[AuditRow]:
    """The audits as a matrix, rules by stages, scenario after scenario."""
    stages = list(cells.stages)
    by_cell = {(a.scenario, key(a.params), a.rule, a.stage): a for a in cells.summary.audits}
    order = {scenario: index for index, scenario in enumerate(cells.scenarios())}
    lines = dict.fromkeys((a.scenario, key(a.params), a.rule) for a in cells.summary.audits)
    return [
        AuditRow(
            scenario_title(scenario, titles),
            params_label(dict(params)),
            rule,
            tuple(by_cell.get((scenario, params, rule, stage)) for stage in stages),
        )
        for scenario, params, rule in sorted(lines, key=lambda line: order[line[0]])
    ]


def failure_rows(cells: Cells, failures: Sequence[FailureCount]) -> list[FailureCount]:
    """Failures by kind; where no kinds were recorded, the counts that were measured."""
    if failures:
        return sorted((f for f in failures if f.count), key=lambda f: (f.scenario, f.stage, -f.count))
    counted = (m for m in cells.summary.measurements if m.metric == "failures" and sum(m.values) > 0)
    return [
        FailureCount(stage=m.stage, scenario=m.scenario, params=m.params, kind="any kind", count=round(sum(m.values)))
        for m in counted
    ]


def lessons(cells: Cells, diffs: Sequence[StageDiff]) -> list[Lesson]:
    """The lessons in the order in which they were given."""
    improvements = {stage.id: stage.improvement for stage in cells.summary.stages}
    return [
        Lesson(
            cells.stage(diff.stage),
            cells.stage(diff.against),
            improvements.get(diff.stage, ""),
            diff.files,
            sum(file.additions for file in diff.files),
            sum(file.deletions for file in diff.files),
            _effects(cells, diff.stage, diff.against),
        )
        for diff in diffs
    ]


def _effects(cells: Cells, stage: str, against: str) -> tuple[tuple[str, str, str], ...]:
    """What both stages measured: the figure that each cell is about, and every metric that a hypothesis names."""
    named = {(r.scenario, r.metric) for r in cells.summary.ratios if (r.stage, r.against) == (stage, against)}
    found = []
    for mine in cells.summary.measurements:
        wanted = mine.metric == _headline(mine) or (mine.scenario, mine.metric) in named
        other = cells.measurement(against, mine.scenario, mine.params, mine.metric)
        if mine.stage != stage or not wanted or other is None or mine.scenario == "noop":
            continue
        label = f"{mine.scenario}, {mine.metric}" + (f", {params_label(mine.params)}" if mine.params else "")
        change = times(mine.median / other.median) if other.median > 0 else "–"
        found.append((label, f"{in_unit(other.median, other.unit)} → {in_unit(mine.median, mine.unit)}", change))
    return tuple(found)


def _headline(item: Measurement) -> str:
    """How fast a closed loop went; how long answers took at a given rate; who was answered in a burst of buyers."""
    if "rate" in item.params:
        return "mean_ms"
    return "answered_well" if item.scenario == "one_seat" else "throughput"


def _judged(cells: Cells, hypothesis: Hypothesis, ratio: Ratio, titles: dict[str, str]) -> Judged:
    label = params_label(ratio.params)
    return Judged(
        id=hypothesis.id,
        stage=cells.stage(ratio.stage),
        against=cells.stage(ratio.against),
        scenario=ratio.scenario,
        scenario_title=scenario_title(ratio.scenario, titles) + (f", {label}" if label else ""),
        metric=metric(ratio.metric).title,
        bound=_bound(hypothesis),
        why=hypothesis.why,
        ratio=times(ratio.ratio),
        spread=span(ratio.low, ratio.high),
        verdict=ratio.verdict,
        note=ratio.note or "",
    )


def _unmeasured(cells: Cells, stage: str, hypothesis: Hypothesis, titles: dict[str, str]) -> Judged:
    return Judged(
        id=hypothesis.id,
        stage=cells.stage(stage),
        against=cells.stage(hypothesis.against),
        scenario=hypothesis.scenario,
        scenario_title=scenario_title(hypothesis.scenario, titles),
        metric=metric(hypothesis.metric).title,
        bound=_bound(hypothesis),
        why=hypothesis.why,
        ratio="–",
        spread="",
        verdict="not_measured",
        note="",
    )


def _bound(hypothesis: Hypothesis) -> str:
    if hypothesis.at_least is not None:
        return f"at least {plain(hypothesis.at_least)}{TIMES}"
    assert hypothesis.at_most is not None  # the summary holds exactly one bound
    return f"at most {plain(hypothesis.at_most)}{TIMES}"


def _count(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")
