"""Raw samples: one line a request, as gzip CSV, so that any tool can read them."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from harness.errors import HarnessError
from harness.store.atomic import write_atomic
from harness.store.summary import Params

HEADER = ("started_s", "latency_ms", "name", "status", "outcome")
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


def sample_path(run: Path, stage: str, scenario: str, params: Params, repeat: int) -> Path:
    """Where a repeat's samples lie: ``samples/<stage>/<scenario>[-params]/r<repeat>.csv.gz``, repeats from 1."""
    return run / "samples" / stage / (scenario + params_suffix(params)) / f"r{repeat}.csv.gz"


def params_suffix(params: Params) -> str:
    """Params as a part of a file name, e.g. ``-buyers=5000-replicas=2``; empty without params."""
    return "".join(f"-{_plain(key)}={_plain(value)}" for key, value in sorted(params.items()))


def write_samples(path: Path, samples: Iterable[Sample]) -> int:
    """Write the samples in one step and return their number. Raises HarnessError if that cannot be done."""
    buffer = io.BytesIO()
    count = 0
    # mtime=0: the same samples give the same bytes.
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=5, mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="utf-8", newline="") as text,
    ):
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(HEADER)
        for sample in samples:
            count += 1
            started, latency = f"{sample.started_s:.4f}", f"{sample.latency_ms:.3f}"
            writer.writerow((started, latency, sample.name, sample.status, sample.outcome))
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
