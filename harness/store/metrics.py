"""The metrics of ``summary.json``: their ids, units and which way is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Metric:
    """Meaning of a metric id. ``better`` says whether more or less of it is wanted."""

    id: str
    title: str
    meaning: str
    unit: str
    better: Literal["higher", "lower"]


METRICS: dict[str, Metric] = {
    metric.id: metric
    for metric in (
        Metric("throughput", "Throughput", "successful answers", "1/s", "higher"),
        Metric("finished", "Finished", "durable outcomes, the drain included", "1/s", "higher"),
        Metric("accepted", "Accepted", "tickets handed out (202)", "1/s", "higher"),
        Metric("answered_well", "Answered well", "a definite business answer in time", "share", "higher"),
        Metric("mean_ms", "Mean latency", "", "ms", "lower"),
        Metric("p50_ms", "Median latency", "", "ms", "lower"),
        Metric("p95_ms", "95th percentile of latency", "", "ms", "lower"),
        Metric("p99_ms", "99th percentile of latency", "", "ms", "lower"),
        Metric("p99_every_ms", "99th percentile of every request", "failures included", "ms", "lower"),
        Metric(
            "ticket_done_ms",
            "Time in line",
            "from the request to its outcome, as watching owners saw it",
            "ms",
            "lower",
        ),
        Metric("refund_done_ms", "Time to refund", "from the request until the refund is done", "ms", "lower"),
        Metric("all_answered_ms", "Until all are answered", "from the first request to the last answer", "ms", "lower"),
        Metric("winners", "Winners", "clients that were told that the seat is theirs", "count", "higher"),
        Metric("within_300ms", "Within 300 ms", "answered well within 300 ms of being due", "share", "higher"),
        Metric(
            "tickets_ended", "Tickets ended", "tickets with an outcome that their owner can read", "share", "higher"
        ),
        Metric("drain_seconds", "Drain", "from the end of the load until the last ticket's outcome", "s", "lower"),
        Metric("refused", "Refused", "definite business answers that were no success", "count", "lower"),
        Metric("server_errors", "Server errors", "answers of 5xx", "count", "lower"),
        Metric("late", "Late arrivals", "sent more than 10 ms after they were due", "count", "lower"),
        Metric("dropped", "Dropped arrivals", "never sent, because every client was waiting", "count", "lower"),
        Metric("failures", "Failures", "answers that were not well", "count", "lower"),
        Metric("cpu_us", "CPU per request", "platform and servers, for each successful request", "µs", "lower"),
    )
}


def metric(metric_id: str, unit: str = "") -> Metric:
    """The metric of that id; one that is not listed is described by its id and the ``unit`` it was measured in."""
    return METRICS.get(metric_id) or Metric(metric_id, metric_id.replace("_", " ").capitalize(), "", unit, "higher")
