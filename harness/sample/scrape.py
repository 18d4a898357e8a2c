"""What the services count themselves, over the measured part of a cell."""

from __future__ import annotations

import http.client
import logging
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from harness.launch import RunningStage

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
_COUNTERS = ("_total", "_count", "_sum")


class Reading(NamedTuple):
    """One sample of ``/metrics`` (Prometheus' text format)."""

    process: str
    name: str
    labels: tuple[tuple[str, str], ...]


Readings = Mapping[Reading, float]


def scrape(running: RunningStage) -> Readings:
    """The counters, sums and gauges of every process of a stage; one that does not answer is left out, and logged."""
    processes = {
        component if number == 1 else f"{component}#{number}": port
        for component, ports in running.ports.items()
        for number, port in enumerate(ports, start=1)
    }
    # All at once: each is asked at the same moment, and a busy one keeps nobody waiting.
    with ThreadPoolExecutor(len(processes), "scraper") as threads:
        pages = threads.map(_page, processes, processes.values())
    found: dict[Reading, float] = {}
    for process, page in zip(processes, pages, strict=True):
        found |= dict(_parsed(process, page))
    return found


def increase(before: Readings, after: Readings) -> dict[Reading, float]:
    """What was counted in between; gauges as they were in the end.

    A counter that has fallen was started anew, and counts from zero (as Prometheus' ``increase`` takes it).
    """
    counted: dict[Reading, float] = {}
    for reading, value in after.items():
        earlier = before.get(reading, 0.0) if reading.name.endswith(_COUNTERS) else 0.0
        counted[reading] = value - earlier if value >= earlier else value
    return counted


def total(readings: Readings, name: str, **labels: str) -> float:
    """The sum of the samples of that name that have these labels, whatever others they have."""
    wanted = labels.items()
    return sum(
        value for reading, value in readings.items() if reading.name == name and wanted <= dict(reading.labels).items()
    )


def label_values(readings: Iterable[Reading], name: str, label: str) -> list[str]:
    """The values that a label has in the samples of that name."""
    return sorted({dict(reading.labels)[label] for reading in readings if reading.name == name})


def _page(process: str, port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException) as problem:
        logger.info("no metrics of %s: %s", process, problem)
        return ""
    finally:
        connection.close()


def _parsed(process: str, page: str) -> Iterator[tuple[Reading, float]]:
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if not sample.name.endswith(("_bucket", "_created")):
                yield Reading(process, sample.name, tuple(sorted(sample.labels.items()))), sample.value
