"""What was measured: each figure as the median of the repeats, with the lowest and the highest."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from experiments.seat_contention.model import Guard, Load, Run


@dataclass(frozen=True)
class Figure:
    """One figure over the repeats."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        return cls(*(float(f"{value:.4g}") for value in (median(values), min(values), max(values))))


@dataclass(frozen=True)
class Cell:
    """One guard under one load."""

    guard: str
    load: str
    buyers: int
    seats_sold_twice: Figure
    answered_well: Figure
    """Share of the buyers who were told that they have the seat, or that it is taken; the others were told 503."""
    per_second: Figure
    """Buyers answered well, by the time from their coming to the last answer."""
    p50_ms: Figure
    p99_ms: Figure
    postgres_us: Figure
    """CPU of PostgreSQL's processes, a buyer; so are the next two."""
    redis_us: Figure
    service_us: Figure

    @classmethod
    def of(cls, guard: Guard, load: Load, runs: Sequence[Run]) -> Cell:
        seconds = [sorted(second for answers in run.answers for second in answers.seconds) for run in runs]
        well = [sum(outcome != "busy" for answers in run.answers for outcome in answers.outcomes) for run in runs]
        own = [sum(answers.cpu_seconds for answers in run.answers) for run in runs]
        each = 1e6 / load.buyers
        return cls(
            guard.name,
            load.name,
            load.buyers,
            seats_sold_twice=Figure.of([run.seats_sold_twice for run in runs]),
            answered_well=Figure.of([number / load.buyers for number in well]),
            per_second=Figure.of([number / run.seconds for number, run in zip(well, runs, strict=True)]),
            p50_ms=Figure.of([1e3 * quantile(some, 0.50) for some in seconds]),
            p99_ms=Figure.of([1e3 * quantile(some, 0.99) for some in seconds]),
            postgres_us=Figure.of([each * run.postgres_cpu_seconds for run in runs]),
            redis_us=Figure.of([each * run.redis_cpu_seconds for run in runs]),
            service_us=Figure.of([each * cpu for cpu in own]),
        )


@dataclass(frozen=True)
class Results:
    """All cells, and where they were measured."""

    machine: str
    python: str
    servers: str
    load_average: float
    repeats: int
    cells: Sequence[Cell]

    @classmethod
    def here(cls, servers: str, repeats: int, cells: Sequence[Cell]) -> Results:
        model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
        machine = f"{model.rpartition(': ')[2]}, {os.cpu_count()} cores"
        return cls(machine, platform.python_version(), servers, round(os.getloadavg()[1], 1), repeats, cells)

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    def cell(self, guard: str, load: Load) -> Cell:
        (found,) = (one for one in self.cells if (one.guard, one.load, one.buyers) == (guard, load.name, load.buyers))
        return found


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of them does not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


def _lines(file: str) -> Sequence[str]:
    path = Path(file)
    return path.read_text().splitlines() if path.exists() else []
