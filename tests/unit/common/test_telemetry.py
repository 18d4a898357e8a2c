"""Telemetry costs nothing when it is off; metrics and log lines say what they promise."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from contextvars import copy_context
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from common.context import current_request_id, use_request_id
from common.telemetry import RequestMetrics, configure_logging, metrics_page

ROOT = Path(__file__).parents[3]

EVERYTHING = "import common.serve, common.service, common.clients, common.boundary, common.telemetry"


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_no_tracing_is_imported_or_wrapped_around_the_application_when_off() -> None:
    """FastAPI imports OpenTelemetry's API, whose calls do nothing; what would do something stays on the disk."""
    finished = python(
        f"{EVERYTHING}; import sys; app = object();"
        "assert common.telemetry.traced(app, 'user-service') is app;"
        "parts = ('opentelemetry.sdk', 'opentelemetry.exporter', 'opentelemetry.instrumentation', 'common.tracing');"
        "print([name for name in sys.modules if name.startswith(parts)])"
    )
    assert finished.stderr == ""
    assert finished.stdout == "[]\n"


def test_an_endpoint_without_the_extra_is_refused_with_advice() -> None:
    finished = python(
        f"{EVERYTHING}; import sys; sys.modules['opentelemetry.sdk'] = None;"
        "common.telemetry.traced(object(), 'user-service')",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
    )
    assert finished.returncode != 0
    assert finished.stderr.splitlines()[-1].startswith("RuntimeError: OTEL_EXPORTER_OTLP_ENDPOINT is set: install")


def samples(route: str) -> dict[tuple[str, str, str], float]:
    """(sample, method, status) to value, of the requests on ``route``."""
    return {
        (sample.name, sample.labels["method"], sample.labels["status"]): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.labels.get("route") == route and not sample.name.endswith(("_bucket", "_created"))
    }


def test_requests_are_counted_and_timed() -> None:
    metrics = RequestMetrics()
    metrics.observe("GET", "/test/{telemetry}", 200, 0.25)
    metrics.observe("GET", "/test/{telemetry}", 200, 0.5)
    metrics.observe("POST", "/test/{telemetry}", 409, 2.0)

    assert samples("/test/{telemetry}") == {
        ("http_request_seconds_count", "GET", "200"): 2.0,
        ("http_request_seconds_sum", "GET", "200"): 0.75,
        ("http_request_seconds_count", "POST", "409"): 1.0,
        ("http_request_seconds_sum", "POST", "409"): 2.0,
    }


def test_two_observers_share_one_metric() -> None:
    RequestMetrics().observe("GET", "/test/shared", 200, 1.0)
    RequestMetrics().observe("GET", "/test/shared", 200, 1.0)
    assert samples("/test/shared")["http_request_seconds_count", "GET", "200"] == 2.0


def test_the_metrics_page_is_prometheus_text() -> None:
    body, content_type = metrics_page()
    assert content_type.startswith("text/plain; version=")
    assert b"# TYPE http_request_seconds histogram" in body
    assert b"# TYPE unexpected_errors_total counter" in body


def test_every_log_line_names_its_request(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    try:
        configure_logging("info")

        def serve() -> None:
            use_request_id(b"abc-1.2_3")
            logging.getLogger("user.accounts").info("signed up %s", "fan")

        copy_context().run(serve)
        logging.getLogger("user.accounts").debug("too much detail")
    finally:
        root.handlers[:] = before
        root.setLevel(level)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.endswith(" INFO user.accounts [abc-1.2_3] signed up fan")


@pytest.mark.parametrize("offered", [b"a", b"0123456789abcdef", b"A.b_c-9", b"x" * 64])
def test_a_harmless_request_id_is_taken_over(offered: bytes) -> None:
    assert copy_context().run(use_request_id, offered) == offered.decode()


@pytest.mark.parametrize("offered", [None, b"", b"x" * 65, b"a b", b"a\nb", b"a]", b"\xff", b"<b>", "ａ".encode()])
def test_any_other_request_id_is_replaced(offered: bytes | None) -> None:
    def serve() -> str:
        made = use_request_id(offered)
        assert current_request_id() == made
        return made

    made, another = copy_context().run(serve), copy_context().run(serve)
    assert made != another
    assert len(made) == 16
    assert int(made, 16) >= 0
