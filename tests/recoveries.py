"""Time to recover, told at the end of the tests: what a test records under ``TOLD``, in whichever worker it ran."""

from __future__ import annotations

import pytest

TOLD = "recovery"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each fault. A test's properties come with all of its reports; with the last one, all of them."""
    stories = [
        str(story)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, story in report.user_properties
        if name == TOLD
    ]
    if stories:
        terminalreporter.section("faults under load: time to recover")
        for story in sorted(stories):
            terminalreporter.write_line(story)
