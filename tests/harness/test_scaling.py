"""The Universal Scalability Law: its coefficients are found again, and it is drawn beside what was measured."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.report.cells import Cells
from harness.report.extras import ReportExtras
from harness.report.format import THIN_SPACE
from harness.report.render import to_html
from harness.report.scaling import scaling_plots
from harness.store.ratios import measure
from harness.store.scaling import ScalingLaw, fit
from harness.store.summary import Measurement, Stage, Summary
from tests.harness.fake_runs import fake_run

INSTANCES = (1, 2, 3)


@settings(max_examples=30, deadline=None)
@given(
    rate=st.floats(1.0, 5_000.0),
    contention=st.floats(0.0, 0.6),
    coherency=st.floats(0.0, 0.1),
)
def test_what_follows_the_law_is_fitted(rate: float, contention: float, coherency: float) -> None:
    law = ScalingLaw(rate, contention, coherency)
    found = fit([(n, law.at(n)) for n in (1, 2, 3, 4, 6)])
    assert found is not None
    for n in (1, 2, 3, 4, 6, 8):
        assert found.at(n) == pytest.approx(law.at(n), rel=0.02)


def test_no_coefficient_is_below_nothing() -> None:
    """More than twice as much of two is a lucky draw, and no law of nature."""
    found = fit([(1, 100.0), (2, 230.0), (3, 350.0)])
    assert found is not None
    assert found.contention == pytest.approx(0.0, abs=1e-6)
    assert found.coherency == pytest.approx(0.0, abs=1e-6)


def test_two_numbers_tell_no_coherency() -> None:
    found = fit([(1, 100.0), (1, 102.0), (2, 160.0)])
    assert found is not None
    assert found.coherency == 0.0
    assert found.at(2) == pytest.approx(160.0, rel=0.01)
    assert found.best is None


@pytest.mark.parametrize("points", [[], [(1, 10.0)], [(2, 10.0), (2, 12.0)], [(1, 0.0), (2, 0.0)]])
def test_too_little_is_no_law(points: list[tuple[float, float]]) -> None:
    assert fit(points) is None


def test_the_best_number_is_where_the_curve_turns() -> None:
    law = ScalingLaw(100.0, 0.1, 0.02)
    assert law.best is not None
    assert law.best == pytest.approx(math.sqrt(0.9 / 0.02))
    assert law.at(law.best) > law.at(law.best - 1)
    assert law.at(law.best) > law.at(law.best + 1)


def a_run(rates: dict[int, list[float]]) -> Summary:
    """Two stages, of which one was measured with several numbers of instances."""
    measured: list[Measurement] = [
        measure("04_scaleout", "scale", {"replicas": n}, "throughput", values) for n, values in rates.items()
    ]
    measured.append(measure("03_async_cancel", "seat_lookup", {}, "throughput", [80.0] * 3))
    stages = [Stage(id=name, title=name, improvement="", cpu_budget=1.0) for name in ("03_async_cancel", "04_scaleout")]
    return Summary(run=fake_run(), stages=stages, measurements=measured)


def test_measured_stands_beside_what_fewer_let_expect() -> None:
    law = ScalingLaw(100.0, 0.1, 0.0)
    summary = a_run({n: [law.at(n) * share for share in (0.99, 1.0, 1.01)] for n in INSTANCES})
    (plot,) = scaling_plots(Cells(summary), "scale")
    assert plot.stage.id == "04_scaleout"
    labels = [dot.label.replace(THIN_SPACE, " ") for dot in plot.dots]
    assert labels == ["1 instance: 100 /s", "2 instances: 182 /s", "3 instances: 250 /s"]
    rows = [[cell for cell, _ in row] for row in plot.table.rows]
    # One instance alone lets nothing be expected, nor two of one: what two did is the first that predicts.
    assert [row[4] for row in rows] == ["–", "–", "250"]
    assert float(rows[2][5].rstrip("%")) < 1.0
    assert scaling_plots(Cells(summary), "seat_lookup") == []


def test_the_report_draws_it() -> None:
    html = to_html(a_run({1: [100.0] * 3, 2: [190.0] * 3, 3: [265.0] * 3}), ReportExtras())
    assert "04_scaleout by number of instances" in html.replace("</span>", "").replace('<i aria-hidden="true"></i>', "")
    assert "Universal Scalability Law (Gunther)" in html
    assert "Predicted from fewer" in html
