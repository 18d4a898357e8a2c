"""What was measured, out of the files that pytest-benchmark leaves."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

_LIBRARIES = ("pydantic", "pydantic-core", "orjson", "msgspec", "pytest-benchmark")


@dataclass(frozen=True)
class Time:
    """Microseconds of CPU for one call: the median of the passes' medians, and the lowest and highest of these."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, medians: Sequence[float]) -> Time:
        """
        Args:
            medians: each pass's median, in seconds.
        """
        return cls(*(round(seconds * 1e6, 2) for seconds in (median(medians), min(medians), max(medians))))


@dataclass(frozen=True)
class Cell:
    """One codec on one page: bytes stored, and the time of each operation."""

    codec: str
    size: int
    stored_bytes: int
    encode: Time
    decode: Time
    answer: Time


@dataclass(frozen=True)
class Results:
    """A whole run."""

    machine: str
    python: str
    libraries: dict[str, str]
    load_average: float
    passes: int
    cells: list[Cell]

    def to_json(self) -> str:
        """The run as it is kept beside the tables; times in microseconds."""
        return json.dumps(asdict(self), indent=1, ensure_ascii=False) + "\n"


def gather(files: Sequence[Path]) -> Results:
    """The results of the passes whose pytest-benchmark reports are ``files``."""
    medians: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    stored: dict[tuple[str, int], int] = {}
    for file in files:
        report = json.loads(file.read_text(encoding="utf-8"))
        for benchmark in report["benchmarks"]:
            codec, size = benchmark["params"]["name"], benchmark["params"]["size"]
            operation = benchmark["name"].partition("[")[0].removeprefix("test_")
            medians[codec, size, operation].append(benchmark["stats"]["median"])
            if operation == "encode":
                stored[codec, size] = benchmark["extra_info"]["bytes"]
    cells = [
        Cell(
            codec,
            size,
            stored_bytes,
            *(Time.of(medians[codec, size, operation]) for operation in ("encode", "decode", "answer")),
        )
        for (codec, size), stored_bytes in stored.items()
    ]
    return Results(
        machine=f"{report['machine_info']['cpu']['brand_raw']}, {os.cpu_count()} cores",
        python=platform.python_version(),
        libraries={name: version(name) for name in _LIBRARIES},
        load_average=round(os.getloadavg()[1], 1),
        passes=len(files),
        cells=cells,
    )
