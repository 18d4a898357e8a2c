"""``report.html``: one file that needs no network, from a summary and its extras."""

from __future__ import annotations

import shlex
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness.report import format as fmt
from harness.report.cells import CEILING, Cells, scenario_title
from harness.report.extras import RawLink, ReportExtras
from harness.report.originals import NOTE
from harness.report.overview import audit_rows, banner, failure_rows, judged, lessons
from harness.report.palette import component_key
from harness.report.scenario_view import scenario_view
from harness.store.atomic import write_atomic
from harness.store.doubts import caveats
from harness.store.summary import Summary

FILE_NAME = "report.html"
TEMPLATES = Path(__file__).parent / "templates"
OPEN_STRIPS = 4
"""Strips of timelines up to which they are shown unfolded."""


def render(summary: Summary, extras: ReportExtras, out: Path) -> None:
    """Write the report to ``out`` in one step. Raises HarnessError if that cannot be done."""
    write_atomic(out, to_html(summary, extras))


def to_html(summary: Summary, extras: ReportExtras) -> str:
    """The report as text. The same summary and extras give the same text."""
    return _environment().get_template("report.html.j2").render(_context(summary, extras))


@cache
def _environment() -> Environment:
    """Made once, as it keeps the compiled templates: to compile them takes four times as long as to fill them in."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": fmt.number,
        "in_unit": fmt.in_unit,
        "plain": fmt.plain,
        "scalar": fmt.scalar,
        "size": fmt.size,
        "duration": fmt.duration,
        "moment": fmt.moment,
        "params": fmt.params_label,
        "path": quote,
        "diff_blocks": diff_blocks,
    }
    return environment


def _context(summary: Summary, extras: ReportExtras) -> dict[str, Any]:
    cells = Cells(summary)
    titles = {name: text.title for name, text in extras.scenarios.items() if text.title}
    claims = judged(cells, titles)
    views = [scenario_view(cells, name, extras, claims) for name in cells.scenarios()]
    strips = [(view, view.strips) for view in views if view.strips]
    return {
        "summary": summary,
        "run": summary.run,
        "stages": [(cells.stage(stage.id), stage) for stage in summary.stages],
        "banner": banner(summary),
        "findings": [row for row in claims if row.verdict in ("confirmed", "refuted")],
        "scenarios": [view for view in views if not view.empty],
        "judged": claims,
        "audits": [(name, list(rows)) for name, rows in groupby(audit_rows(cells, titles), key=lambda r: r.scenario)],
        "strips": strips,
        "strips_open": sum(len(found) for _, found in strips) <= OPEN_STRIPS,
        "failures": failure_rows(cells, extras.failures),
        "failures_known": bool(extras.failures) or any(m.metric == "failures" for m in summary.measurements),
        "lessons": lessons(cells, extras.diffs),
        "tables": [table for table in extras.tables if not table.scenario],
        "caps": _caps(summary),
        "caveats": list(dict.fromkeys([*summary.run.caveats, *caveats(summary.measurements)])),
        "rerun": extras.rerun or shlex.join(["uv", "run", "run_all.py", *summary.run.arguments]),
        "rerun_notes": extras.rerun_notes,
        "links": _grouped(extras.links),
        "stage_label": cells.stage,
        "scenario_title": lambda name: scenario_title(name, titles),
        "original_note": NOTE,
        "ceiling": fmt.sentence(extras.ceiling) if CEILING not in cells.scenarios() else "",
    }


def _caps(summary: Summary) -> list[tuple[str, str]]:
    caps = sorted(summary.run.instance_size.components.items(), key=lambda entry: component_key(entry[0]))
    return [(name, "no cap" if cap is None else f"{fmt.plain(cap)} CPU") for name, cap in caps]


def _grouped(links: list[RawLink]) -> list[tuple[str, list[RawLink]]]:
    order = {group: index for index, group in enumerate(dict.fromkeys(link.group for link in links))}
    by_group = sorted(links, key=lambda link: order[link.group])
    return [(group, list(found)) for group, found in groupby(by_group, key=lambda link: link.group)]


def diff_blocks(diff: str) -> list[tuple[str, str]]:
    """A unified diff as runs of lines of one kind: ``add``, ``del``, ``hunk`` or ``same``.

    The file header is all that stands before the first hunk, and is left out; looking for ``---`` instead would also
    drop a removed SQL comment.
    """
    lines = diff.splitlines()
    start = next((index for index, line in enumerate(lines) if line.startswith("@@")), 0)
    return [(kind, "\n".join(found)) for kind, found in groupby(lines[start:], key=_line_kind)]


def _line_kind(line: str) -> str:
    if line.startswith("@@"):
        return "hunk"
    return {"+": "add", "-": "del"}.get(line[:1], "same")
