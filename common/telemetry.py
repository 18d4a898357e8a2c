"""Metrics for Prometheus, traces for OpenTelemetry, and the log format.

Traces are off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set. Off means that no SDK, exporter or instrumentation is
imported and nothing is wrapped around the application, so that it costs a request nothing.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest

from common.context import current_request_id

logger = logging.getLogger(__name__)

# From a cached read (1 ms) to a request that waited for its turn (10 s).
LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

REQUEST_SECONDS = Histogram(
    "http_request_seconds", "Time from the first byte of a request to the last of its answer.",
    ["method", "route", "status"], buckets=LATENCY_BUCKETS,
)  # fmt: skip

UNEXPECTED_ERRORS = Counter("unexpected_errors", "Requests that ended in an exception nobody expected (code 1003).")


class RequestMetrics:
    """Counts and times requests; the label lookup is done once for each combination."""

    def __init__(self) -> None:
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = REQUEST_SECONDS.labels(method, route, str(status))
        child.observe(seconds)


def metrics_page() -> tuple[bytes, str]:
    """The body and content type of ``/metrics``."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


class _RequestIdFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = current_request_id()
        return True


def configure_logging(level: str) -> None:
    """One line a record on stderr: time, level, logger, request id, message."""
    handler = logging.StreamHandler()
    handler.addFilter(_RequestIdFilter())
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def traced(app: Any, service_name: str) -> Any:
    """``app`` with OpenTelemetry around it and the HTTP client instrumented, if an OTLP endpoint is configured.

    Raises:
        RuntimeError: an endpoint is configured, and the ``telemetry`` extra is not installed.
    """
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return app
    try:
        from common.tracing import instrument
    except ImportError as missing:
        raise RuntimeError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set: install the extra with `uv sync --extra telemetry`"
        ) from missing
    return instrument(app, service_name)
