"""The parts a report is made of: timelines, colours, axes, numbers, and the table in the terminal."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from harness.report import format as fmt
from harness.report.cells import Cells
from harness.report.extras import Timeline
from harness.report.palette import COMPONENTS, component_kind, stage_hues
from harness.report.render import TEMPLATES
from harness.report.scales import latency_axis, linear_axis
from harness.report.terminal import print_summary
from harness.report.timelines import POINTS, strips
from harness.store.summary import Summary
from tests.harness.fake_runs import fake_summary


def test_long_timelines_are_thinned_and_keep_their_mean() -> None:
    rates = [float(second % 7) for second in range(10_000)]
    timeline = Timeline(stage="01_baseline", scenario="noop", repeat=1, requests_per_s=rates)
    (strip,) = strips(Cells(fake_summary(1, 1)), "noop", [timeline])
    (panel,) = strip.panels
    (curve,) = panel.curves
    assert curve.path.count("L") == POINTS - 1
    assert f"mean {fmt.number(sum(rates) / len(rates))}" in curve.label


def test_a_timeline_without_series_draws_nothing() -> None:
    timeline = Timeline(stage="01_baseline", scenario="noop", repeat=1, cpu={"gateway": [], "redis": [0.0]})
    assert strips(Cells(fake_summary(1, 1)), "noop", [timeline]) == []


def test_stages_keep_their_hue_whatever_else_ran() -> None:
    stages = fake_summary(5, 1).stages
    assert stage_hues(stages)["03_async_cancel"] == stage_hues(stages[2:3])["03_async_cancel"] == 3


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("concert", "concert"),
        ("concert-service#2", "concert"),
        ("order_consumer", "worker"),
        ("PostgreSQL", "postgres"),
        ("valkey", "redis"),
        ("payment-simulator", "payment"),
        ("locust", "other"),
        ("", "other"),
    ],
)
def test_components_are_recognised(name: str, kind: str) -> None:
    assert component_kind(name) == kind


def _luminance(colour: str) -> float:
    """Relative luminance of #rrggbb by WCAG 2.2."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_colours_have_the_contrast_that_wcag_asks_for(theme: str) -> None:
    css = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    light, dark = css.split("@media (prefers-color-scheme: dark)")[:2]
    declared = re.findall(r"--([\w-]+): (#[0-9a-f]{6})", light if theme == "light" else dark.split("\n* {")[0])
    colours = dict(declared)
    for name in ("ink", "soft", "good", "bad", "warn"):
        assert _contrast(colours[name], colours["paper"]) >= 4.5, name
    for name in ("good", "bad", "warn", "none"):
        assert _contrast(colours[name], colours[f"{name}-bg"]) >= 4.5, name
    for hue in range(9):
        assert _contrast(colours[f"s{hue}"], colours["paper"]) >= 3, hue
    light_text = re.search(r"^(\.seg-text\.c-.*) \{ fill: var\(--on-light\)", css, flags=re.MULTILINE)
    assert light_text
    for component in (*COMPONENTS, "other"):
        ink = colours["on-light" if f".c-{component}" in light_text[1] else "on-dark"]
        assert _contrast(colours[f"c-{component}"], ink) >= 3, component


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(min_value=1e-6, max_value=1e9), min_size=1, max_size=8))
def test_axes_hold_their_values_in_order(values: list[float]) -> None:
    for axis in (linear_axis(values), latency_axis(values)):
        placed = [axis.at(value) for value in sorted(values)]
        assert placed == sorted(placed)
        assert axis.low <= min(values)
        assert max(values) <= axis.high * (1 + 1e-9)
        assert [tick.at for tick in axis.ticks] == sorted({tick.at for tick in axis.ticks})
        assert len({tick.label for tick in axis.ticks}) == len(axis.ticks) >= 2
        assert (axis.ticks[0].at, axis.ticks[-1].at) == (0.0, 100.0)


def test_ticks_are_round() -> None:
    assert [tick.label for tick in linear_axis([500.0]).ticks] == ["0", "100", "200", "300", "400", "500"]
    assert linear_axis([0.0]).ticks[0].label == "0"
    assert [tick.label for tick in latency_axis([12.0, 900.0]).ticks] == [
        "10",
        "20",
        "50",
        "100",
        "200",
        "500",
        "1,000",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (12345.6, "12,346"),
        (999.6, "1,000"),
        (161.3, "161"),
        (99.96, "100"),
        (65.8, "65.8"),
        (9.999, "10.0"),
        (3.254, "3.25"),
        (0.163, "0.163"),
        (0.00004, "4e-05"),
        (-2.5, "−2.50"),
        (None, "–"),
    ],
)
def test_numbers_read_well(value: float | None, text: str) -> None:
    assert fmt.number(value) == text


@given(st.floats(min_value=1e-3, max_value=1e12))
def test_numbers_never_lie_by_more_than_their_last_digit(value: float) -> None:
    assert float(fmt.number(value).replace(",", "")) == pytest.approx(value, rel=0.006, abs=0.0006)


def test_shares_say_all_and_nothing_only_of_all_and_nothing() -> None:
    assert [fmt.percent(share) for share in (0.0, 0.00001, 0.163, 0.5, 0.99999, 1.0)] == [
        "0%", "0.1%", "16.3%", "50%", "99.9%", "100%",
    ]  # fmt: skip


def test_sizes_and_times_read_well() -> None:
    plain = [text.replace(fmt.THIN_SPACE, " ") for text in (fmt.size(512), fmt.size(1536), fmt.size(8_229_437_440))]
    assert plain == ["512 B", "1.50 KiB", "7.66 GiB"]
    times = [fmt.duration(seconds).replace(fmt.THIN_SPACE, " ") for seconds in (8.42, 59.99, 200, 3_900)]
    assert times == ["8.4 s", "1 min 0 s", "3 min 20 s", "1 h 5 min"]


def _terminal(summary: Summary, width: int) -> str:
    console = Console(width=width, record=True, file=None, quiet=False, color_system=None)
    with console.capture() as captured:
        print_summary(summary, console)
    return captured.get().replace(fmt.THIN_SPACE, " ")


def test_the_terminal_tells_figures_doubts_verdicts_and_last_the_audit() -> None:
    lines = _terminal(fake_summary(2, 3, broken=True), 120).splitlines()
    assert re.match(r"concert_list +01_baseline +\d+ /s +\d+–\d+ +[\d,]+ ms +[\d,]+ µs +✓ held", lines[1])
    assert any(re.match(r"! booking, 01_baseline: the repeats spread widely", line) for line in lines)
    assert any(line.startswith("✓ confirmed 02_cache / 01_baseline, Concert list, throughput: ") for line in lines)
    assert lines[-1].startswith("A correctness rule was broken: seat-sold-once at 01_baseline, booking")


def test_the_terminal_tells_of_a_burst_who_was_answered() -> None:
    lines = _terminal(fake_summary(1, 5), 120).splitlines()
    head = next(index for index, line in enumerate(lines) if "Winners" in line)
    assert re.match(r"Scenario +Stage +Answered well +Winners +All answered +p95 +Audit", lines[head])
    assert re.match(r"one_seat \(buyers 1,000\) +01_baseline +98% +1 +[\d,]+ ms +[\d,]+ ms +✓ held", lines[head + 1])
    assert not any(line.startswith("one_seat") for line in lines[:head])
    assert any(re.match(r"cancel \(load open, rate 7/s\) +01_baseline +\d", line) for line in lines[:head])


def test_memory_is_drawn_as_cpu_is() -> None:
    memory = {"gateway": [60.0, 62.0], "postgres": [100.0, 130.0], "helper": [0.1, 0.1]}
    timeline = Timeline(stage="01_baseline", scenario="noop", repeat=2, memory_mib=memory, sample_step_s=0.5)
    (strip,) = strips(Cells(fake_summary(1, 1)), "noop", [timeline])
    (panel,) = strip.panels
    assert panel.title == "MiB resident by process, repeat 2"
    assert [curve.label for curve in panel.curves] == ["gateway, peak 62.0", "postgres, peak 130"]
    assert panel.top == "200"


def test_a_narrow_terminal_loses_no_figure() -> None:
    text = _terminal(fake_summary(1, 1, 1), 80)
    assert re.search(r"concert_list +01_baseline +\d+ /s +[\d,]+ ms +[\d,]+ µs +✓ held", text)
    assert "only 1 repeat" in text


def test_hues_of_neighbouring_stages_differ() -> None:
    hues = list(stage_hues(fake_summary(5, 1).stages).values())
    assert all(one != other for one, other in pairwise(hues))
