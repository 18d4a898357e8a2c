"""The costs of a cell in the report: CPU for each request where that means something, and memory."""

from __future__ import annotations

from harness.report import format as fmt
from harness.report.cells import Cells
from harness.report.costs import cost_figure
from harness.report.render import to_html
from tests.harness.fake_runs import fake_extras, fake_summary


def test_the_table_of_costs_has_the_memory() -> None:
    summary = fake_summary(2, 5)
    figure = cost_figure(Cells(summary), "cancel", fake_extras(summary).memory)
    assert figure
    columns = [title for title, _ in figure.table.columns]
    assert columns == [
        "Stage", "Variant", "Metric", "gateway", "user", "concert", "order", "order_consumer", "postgres", "redis",
        "kafka", "Together", "locust",
    ]  # fmt: skip
    rows = [[cell.replace(fmt.THIN_SPACE, " ") for cell, _ in row] for row in figure.table.rows]
    assert [row[:3] for row in rows] == [
        [stage, variant, what]
        for variant in ("default", "load open, rate 7/s")
        for stage in ("01_baseline", "02_cache")
        for what in ("CPU for each request", "Peak memory")
    ]
    assert (rows[1][3], rows[1][-2], rows[1][-1]) == ("62.0 MiB", "432 MiB", "98.0 MiB")
    assert rows[0][-1] == ""


def test_a_burst_has_memory_and_no_cost_for_each_request() -> None:
    summary = fake_summary(1, 5)
    figure = cost_figure(Cells(summary), "one_seat", fake_extras(summary).memory)
    assert figure
    assert figure.groups == ()
    assert {row[2][0] for row in figure.table.rows} == {"Peak memory"}
    page = to_html(summary, fake_extras(summary))
    section = page.split('id="s-one_seat"')[1].split("</section>")[0]
    assert "Peak memory" in section
    assert "CPU for each successful request" not in section
    assert cost_figure(Cells(summary), "one_seat") is None
