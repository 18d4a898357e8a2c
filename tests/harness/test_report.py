"""The HTML report, the table in the terminal, and the verb that draws a report again."""

from __future__ import annotations

import argparse
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import ValidationError

from harness.errors import HarnessError
from harness.report import cli
from harness.report import format as fmt
from harness.report.cells import Cells
from harness.report.extras import (
    FailureCount,
    RawLink,
    ReferenceLine,
    ReportExtras,
    ScenarioText,
    load_extras,
    save_extras,
)
from harness.report.render import diff_blocks, render, to_html
from harness.store.files import save_summary
from harness.store.ratios import measure
from harness.store.summary import Stage, Summary
from tests.harness.fake_runs import fake_extras, fake_run, fake_summary

VOID = {"meta", "line", "rect", "circle", "path", "br", "link", "img"}
NOTHING = ReportExtras()


class Page(HTMLParser):
    """A page taken apart: what is nested wrongly, ids, links, headings, and drawings without words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.headings: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.attributes += list(known.items())
        self.ids += [known["id"]] if "id" in known else []
        self.links += [known["href"]] if "href" in known else []
        if tag == "svg" and known.get("role") != "img" and "aria-hidden" not in known and "svg" not in self._open:
            self.faults.append("a drawing is neither described nor hidden")
        if known.get("role") == "img" and not known.get("aria-label"):
            self.faults.append("a drawing has no words")
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1:]}")
        else:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "title"):
            self.words.append(data)
        if self._open and self._open[-1] == "h2":
            self.headings.append(data.strip())

    @property
    def text(self) -> str:
        """All words, on one line."""
        return re.sub(r"\s+", " ", "".join(self.words).replace(fmt.THIN_SPACE, " "))


def _page(summary: Summary, extras: ReportExtras = NOTHING) -> Page:
    return Page(to_html(summary, extras))


SHAPES = [(1, 1, 1), (1, 8, 3), (2, 2, 2), (5, 8, 3), (3, 4, 7)]


@pytest.mark.parametrize(("stages", "scenarios", "repeats"), SHAPES)
@pytest.mark.parametrize("rich_extras", [False, True])
def test_every_shape_of_run_gives_a_sound_page(stages: int, scenarios: int, repeats: int, rich_extras: bool) -> None:
    summary = fake_summary(stages, scenarios, repeats)
    page = _page(summary, fake_extras(summary) if rich_extras else NOTHING)
    assert page.faults == []
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert "nan" not in page.text.lower().split()
    assert "None" not in page.text.split()


def test_the_page_asks_nothing_of_the_network() -> None:
    summary = fake_summary()
    text = to_html(summary, fake_extras(summary))
    assert not re.search(r"<script|<link|<img|<iframe|@import|url\(|\bsrc=|https?://", text)
    assert "default-src 'none'" in text


def test_sections_come_in_order() -> None:
    summary = fake_summary(5, 2)
    assert _page(summary, fake_extras(summary)).headings == [
        "What was compared",
        "Concert list",
        "Seat lookup",
        "Hypotheses",
        "Audits",
        "Over time",
        "Failures",
        "Lessons",
        "Environment",
        "Caveats",
        "Run it again",
        "Files",
    ]


def test_one_stage_with_one_repeat_has_no_empty_section() -> None:
    page = _page(fake_summary(1, 1, 1))
    expected = ["What was compared", "Concert list", "Audits", "Failures", "Environment", "Caveats", "Run it again"]
    assert page.headings == expected
    assert "No request failed." in page.text
    assert "1 repeat" in page.text


def test_a_run_that_measured_nothing_still_says_where_it_ran() -> None:
    stage = Stage(id="01_baseline", title="Baseline", improvement="", cpu_budget=None)
    page = _page(Summary(run=fake_run(), stages=[stage]))
    assert page.faults == []
    assert page.headings == ["What was compared", "Environment", "Caveats", "Run it again"]
    assert "No audit was made" in page.text


def test_figures_stand_beside_their_stage_with_spread_and_doubts() -> None:
    cell = measure("01", "booking", {}, "throughput", [1200.0, 1234.0, 1300.0], limited_by="gateway")
    bad = measure("02", "booking", {}, "throughput", [10.0, 10.0, 30.0], valid=False, note="seeding failed")
    stages = [Stage(id=name, title=name, improvement="", cpu_budget=1.5) for name in ("01", "02")]
    page = _page(Summary(run=fake_run(), stages=stages, measurements=[cell, bad]))
    assert "1,234 /s" in page.text
    assert "1,200–1,300" in page.text
    assert "limited by gateway" in page.text
    assert "invalid: seeding failed" in page.text
    assert "spread 200%" in page.text
    described = [value for name, value in page.attributes if name == "aria-label" and value.startswith("01: ")]
    assert [text.replace(fmt.THIN_SPACE, " ") for text in described] == [
        "01: 1,234 /s, spread 1,200–1,300, limited by gateway"
    ]


def test_bars_are_as_long_as_their_figures() -> None:
    summary = Summary(
        run=fake_run(),
        stages=[Stage(id=name, title=name, improvement="", cpu_budget=None) for name in ("01", "02")],
        measurements=[
            measure("01", "mixed_day", {}, "throughput", [50.0]),
            measure("02", "mixed_day", {}, "throughput", [100.0]),
        ],
    )
    widths = re.findall(r'class="bar" x="0" y="-9" width="([\d.]+)%"', to_html(summary, NOTHING))
    assert [float(width) for width in widths] == [50.0, 100.0]


def test_the_original_platform_is_drawn_where_it_is_known() -> None:
    text = _page(fake_summary(1, 5)).text
    assert "Java original, no cache: 161 /s" in text
    assert "Java original, with replicas: 88.5 /s" in text
    assert "Java original, synchronous: 3,000 ms" in text
    assert text.count("Java original, seat lock: 92.6%") == 1
    assert "Java original" not in _page(fake_summary(1, 8)).text.split("Ceiling (noop)")[-1]


def test_a_given_line_is_drawn_for_its_variant_only() -> None:
    line = ReferenceLine(
        scenario="one_seat", metric="all_answered_ms", params={"buyers": 5000}, value=250, label="bound"
    )
    text = _page(fake_summary(1, 5), ReportExtras(references=[line])).text
    assert text.count("bound: 250 ms") == 1


def test_the_share_of_the_ceiling_is_told_for_reads() -> None:
    summary = fake_summary(1, 8)
    cells = Cells(summary)
    ceiling = cells.measurement("01_baseline", "noop", {}, "throughput")
    reads = cells.measurement("01_baseline", "concert_list", {}, "throughput")
    booking = cells.measurement("01_baseline", "booking", {}, "throughput")
    assert ceiling
    assert reads
    assert booking
    assert cells.share_of_ceiling(reads) == reads.median / ceiling.median
    assert cells.share_of_ceiling(booking) is None


@pytest.mark.parametrize(
    ("stages", "broken", "tone", "title"),
    [
        (3, False, "warn", "Audits passed, with declared defects"),
        (3, True, "bad", "A correctness rule was broken"),
    ],
)
def test_the_banner_tells_of_the_audits(stages: int, broken: bool, tone: str, title: str) -> None:
    text = to_html(fake_summary(stages, 5, broken=broken), NOTHING)
    assert f'class="banner {tone}"' in text
    assert title in text


def test_the_banner_is_green_when_all_rules_held() -> None:
    assert 'class="banner good"' in to_html(fake_summary(1, 1), NOTHING)


def test_what_others_wrote_is_shown_and_never_run() -> None:
    evil = "<script>alert(1)</script>\"'&"
    summary = fake_summary(1, 1)
    stage = summary.stages[0].model_copy(update={"improvement": evil, "title": evil})
    run = summary.run.model_copy(update={"id": evil, "caveats": [evil], "arguments": [evil], "settings": {evil: evil}})
    extras = ReportExtras(
        failures=[FailureCount(stage="01_baseline", scenario="concert_list", kind=evil, count=1)],
        scenarios={"concert_list": ScenarioText(title=evil, text=evil, notes=[evil])},
        links=[RawLink(title=evil, href='logs/" onclick="x.log')],
    )
    text = to_html(summary.model_copy(update={"run": run, "stages": [stage]}), extras)
    assert "<script" not in text
    page = Page(text)
    assert page.faults == []
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert page.text.count("<script>alert(1)</script>") >= 8


@pytest.mark.parametrize(
    "href", ["javascript:alert(1)", "http://x.example/", "//x.example/", "/etc/passwd", "\\\\x", ""]
)
def test_links_lead_only_into_the_run(href: str) -> None:
    with pytest.raises(ValidationError, match="relative to the report"):
        RawLink(title="x", href=href)


def test_the_same_run_gives_the_same_page() -> None:
    summary = fake_summary(2, 2)
    assert to_html(summary, fake_extras(summary)) == to_html(summary, fake_extras(summary))


def test_a_diff_keeps_every_line_but_its_header() -> None:
    diff = "--- a/x.sql\n+++ b/x.sql\n@@ -1,2 +1,2 @@\n same\n--- a removed comment\n+-- an added one\n"
    assert diff_blocks(diff) == [
        ("hunk", "@@ -1,2 +1,2 @@"),
        ("same", " same"),
        ("del", "--- a removed comment"),
        ("add", "+-- an added one"),
    ]
    assert diff_blocks("+only\n+added\n") == [("add", "+only\n+added")]
    assert diff_blocks("") == []


def test_a_lesson_stands_beside_its_effect() -> None:
    summary = fake_summary(2, 1)
    text = _page(summary, fake_extras(summary)).text
    lesson = text.split("Lessons")[-1]
    assert "concert_list, throughput" in lesson
    assert "→" in lesson
    assert "return cached" in lesson
    assert '"""Pages <b>kept</b> in Redis & read back."""' in lesson


def test_the_command_can_be_pasted() -> None:
    summary = fake_summary(1, 1)
    run = summary.run.model_copy(update={"arguments": ["quick", "--out", "my runs"]})
    summary = summary.model_copy(update={"run": run})
    assert "uv run run_all.py quick --out 'my runs'" in _page(summary).text
    assert "uv run other" in _page(summary, ReportExtras(rerun="uv run other")).text


def _run_verb(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    cli.add_arguments(parser)
    return cli.run(parser.parse_args(arguments))


def test_a_finished_run_is_drawn_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = fake_summary(2, 2)
    save_summary(summary, tmp_path / "summary.json")
    save_extras(fake_extras(summary), tmp_path / "extras.json")
    assert _run_verb(str(tmp_path)) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    drawn = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert drawn == to_html(summary, fake_extras(summary))
    assert _run_verb(str(tmp_path / "summary.json"), "--out", str(tmp_path / "other.html")) == 0
    assert (tmp_path / "other.html").read_text(encoding="utf-8") == drawn


def test_a_run_without_extras_is_drawn_from_its_summary(tmp_path: Path) -> None:
    save_summary(fake_summary(1, 1), tmp_path / "summary.json")
    assert _run_verb(str(tmp_path)) == 0
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == to_html(fake_summary(1, 1), NOTHING)


def test_the_verb_refuses_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="There is no run at"):
        _run_verb(str(tmp_path / "nowhere"))
    with pytest.raises(HarnessError, match=r"Cannot read .*summary"):
        _run_verb(str(tmp_path))
    save_summary(fake_summary(1, 1), tmp_path / "summary.json")
    for content, said in (
        ("{", "is not valid JSON"),
        ('{"links": 1}', "links: Input should be a valid"),
        ("7", "extras"),
    ):
        (tmp_path / "extras.json").write_text(content, encoding="utf-8")
        with pytest.raises(HarnessError, match=said) as raised:
            _run_verb(str(tmp_path))
        assert "\n" not in raised.value.message
    assert not (tmp_path / "report.html").exists()


def test_extras_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    extras = fake_extras(fake_summary())
    save_extras(extras, tmp_path / "extras.json")
    assert load_extras(tmp_path / "extras.json") == extras
    assert load_extras(tmp_path / "none.json") == ReportExtras()


def test_a_report_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(HarnessError, match="Cannot write"):
        render(fake_summary(1, 1), NOTHING, tmp_path / "file" / "report.html")


def test_the_load_generator_costs_the_platform_nothing() -> None:
    summary = fake_summary(1, 1)
    cost = summary.costs[0].model_copy(update={"component": "locust", "cpu_us_per_request": 9_999.0})
    assert to_html(summary.model_copy(update={"costs": [*summary.costs, cost]}), NOTHING) == to_html(summary, NOTHING)


def test_a_share_of_all_is_said_and_a_smaller_one_is_drawn() -> None:
    summary = fake_summary(1, 1)
    for values, drawn in (([1.0, 1.0, 1.0], False), ([1.0, 0.99, 1.0], True)):
        share = measure("01_baseline", "concert_list", {}, "answered_well", values)
        page = _page(summary.model_copy(update={"measurements": [*summary.measurements, share]}))
        assert ("f-concert_list-answered_well" in page.ids) is drawn
        assert ("Every request was answered well." in page.text) is not drawn
