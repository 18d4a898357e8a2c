"""Reads back what a smoke run left: ``python .ci/parse_report.py RUN_FOLDER``. Exit code 1 if anything is missing."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from harness.store.files import load_summary  # the path above is needed first
from harness.store.summary import Summary


class _Page(HTMLParser):
    """The text of the report, and whatever it would load from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self.loads: list[str] = []

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "src" or (tag == "link" and name == "href"):
                self.loads.append(f"{tag} {name}={value}")


def problems(folder: Path) -> list[str]:
    """What is wrong with the run in ``folder``, in words."""
    summary = load_summary(folder / "summary.json")
    page = _Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    text = re.sub(r"\s+", " ", " ".join(page.text))
    found = [f"the report loads {load}" for load in page.loads]
    for stage in summary.stages:
        if stage.title not in text:
            found.append(f"the report does not name stage {stage.id}")
    found += _unmeasured(summary)
    found += [
        f"{a.stage} {a.scenario}: {a.rule}: {a.violations} violations: {a.detail}" for a in summary.audits if a.broken
    ]
    found += [
        f"no raw samples of {stage.id}"
        for stage in summary.stages
        if not [*(folder / "samples" / stage.id).rglob("*.gz")]
    ]
    return found


def _unmeasured(summary: Summary) -> list[str]:
    """Cells without a single successful answer; how many there were is not judged."""
    # A burst has no throughput; how many were answered well, every cell says. Where all wait, tickets are accepted.
    told = ("throughput", "answered_well")
    measured = {(m.stage, m.scenario, m.metric): m.median for m in summary.measurements if m.metric in told}
    if not measured:
        return ["nothing was measured"]
    for accepted in (m for m in summary.measurements if m.metric == "accepted"):
        if (throughput := (accepted.stage, accepted.scenario, "throughput")) in measured:
            measured[throughput] += accepted.median
    return [f"{stage} {scenario}: {metric} is 0" for (stage, scenario, metric), value in measured.items() if value <= 0]


if __name__ == "__main__":
    wrong = problems(Path(sys.argv[1]))
    for sentence in wrong:
        print(sentence, file=sys.stderr)
    sys.exit(1 if wrong else 0)
