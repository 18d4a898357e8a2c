"""Raw samples: one line a request, and one a process and moment, as gzip CSV, so that any tool can read them."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError
from harness.store.atomic import write_atomic
from harness.store.summary import Params

HEADER = ("started_s", "latency_ms", "name", "status", "outcome")
PROCESS_HEADER = ("at_s", "process", "cpu_s", "memory_mib")
_UNSAFE = re.compile(r"[^A-Za-z0-9._]+")


class Sample(NamedTuple):
    """One request as its client saw it."""

    started_s: float
    """Seconds since the start of the measured part; negative during the warm-up."""
    latency_ms: float
    name: str
    """Name of the request in the scenario."""
    status: int
    """HTTP status; 0 if no answer came."""
    outcome: str
    """``ok``, ``accepted``, ``refused``, or the kind of failure."""


class ProcessSample(NamedTuple):
    """One process, its descendants included, at one moment."""

    at_s: float
    """Seconds since the start of the measured part."""
    process: str
    """Its component, ``order#2`` for a second replica; ``locust`` is the load generator."""
    cpu_s: float
    """CPU seconds, user and system, since its start."""
    memory_mib: float
    """Resident; memory that its descendants share counts once."""


def sample_path(run: Path, stage: str, scenario: str, params: Params, repeat: int) -> Path:
    """Where a repeat's samples lie: ``samples/<stage>/<scenario>[-params]/r<repeat>.csv.gz``, repeats from 1."""
    return run / "samples" / stage / (scenario + params_suffix(params)) / f"r{repeat}.csv.gz"


def process_sample_path(samples: Path) -> Path:
    """Where the processes' samples of a repeat lie: beside those of its requests, ``r<repeat>.processes.csv.gz``."""
    return samples.with_name(samples.name.replace(".csv.gz", ".processes.csv.gz"))


def params_suffix(params: Params) -> str:
    """Params as a part of a file name, e.g. ``-buyers=5000-replicas=2``; empty without params."""
    return "".join(f"-{_plain(key)}={_plain(value)}" for key, value in sorted(params.items()))


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Write the samples in one step and return their number. Raises HarnessError if that cannot be done."""
    return _write(
        path,
        HEADER,
        ((f"{s.started_s:.4f}", f"{s.latency_ms:.3f}", s.name, s.status, s.outcome) for s in samples),
    )


def write_process_samples(path: Path, samples: Iterable[ProcessSample]) -> int:
    """The same for the samples of processes."""
    return _write(
        path, PROCESS_HEADER, ((f"{s.at_s:.3f}", s.process, f"{s.cpu_s:.3f}", f"{s.memory_mib:.1f}") for s in samples)
    )


def _write(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> int:
    buffer = io.BytesIO()
    count = 0
    # mtime=0: the same samples give the same bytes.
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=5, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(header)
        for row in rows:
            count += 1
            writer.writerow(row)
    write_atomic(path, buffer.getvalue())
    return count


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a file, one by one. Raises HarnessError, in one sentence, if it is missing or broken."""
    line = 1
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
            reader = csv.reader(text)
            if tuple(next(reader, ())) != HEADER:
                raise ValueError("the header is not " + ",".join(HEADER))
            for row in reader:
                line = reader.line_num
                started, latency, name, status, outcome = row
                yield Sample(float(started), float(latency), name, int(status), outcome)
    except (OSError, EOFError, ValueError, csv.Error) as error:
        raise HarnessError(f"Cannot read the samples in {path}, line {line}: {error}.") from error


def _plain(value: object) -> str:
    return _UNSAFE.sub("_", str(value))
