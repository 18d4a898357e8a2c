"""Reads CPU time and memory of process trees at a steady step, and at the two moments that bound a measurement."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise

import psutil

from harness.sample.tree import Tree

STEP_SECONDS = 0.5


@dataclass(frozen=True)
class Snapshot:
    """What every process has used and holds, by name, at one moment of the monotonic clock."""

    at: float
    cpu_seconds: Mapping[str, float]
    """Cumulative, user and system."""
    memory_bytes: Mapping[str, int] = field(default_factory=dict)
    """Resident; see ``harness.sample.tree.Usage``."""


class Sampler:
    """Samples named process trees in a thread of its own, from ``start`` to ``stop``.

    A process that ends (a fault, a restart) keeps the CPU it had used; its successor is added under the same name.
    """

    def __init__(self, step_seconds: float = STEP_SECONDS) -> None:
        self._step = step_seconds
        self._trees: dict[str, Tree] = {}
        self._last: dict[str, float] = {}
        self._carried: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.snapshots: list[Snapshot] = []
        self.own_cpu_seconds = 0.0
        """CPU that the sampling itself took, once it has stopped."""

    def watch(self, name: str, pid: int, *, has_children: bool = False) -> None:
        """Samples the tree of ``pid`` as ``name`` from now on."""
        with self._lock:
            self._carried[name] = self._carried.get(name, 0.0) + self._last.get(name, 0.0)
            self._last[name] = 0.0
            self._trees[name] = Tree(pid, has_children)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def snapshot(self) -> Snapshot:
        """What every process has used until now, and what it holds; one that has ended holds nothing."""
        memory: dict[str, int] = {}
        with self._lock:
            at = time.monotonic()
            for name, tree in self._trees.items():
                memory[name] = 0
                with suppress(psutil.NoSuchProcess):
                    usage = tree.usage()
                    self._last[name] = max(self._last[name], usage.cpu_seconds)
                    memory[name] = usage.memory_bytes
            return Snapshot(at, {name: self._carried[name] + used for name, used in self._last.items()}, memory)

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self.snapshots.append(self.snapshot())
            due += self._step
            self._stop.wait(max(0.0, due - time.monotonic()))
        self.own_cpu_seconds = time.thread_time()


def evenly(first: Snapshot, taken: Sequence[Snapshot], last: Snapshot, step: float = STEP_SECONDS) -> list[Snapshot]:
    """From bound to bound, in steps: without those so close to a bound that a difference would be all rounding."""
    between = (one for one in taken if one.at - first.at >= step / 2 and last.at - one.at >= step / 2)
    return [first, *between, last]


def cpus_in_use(snapshots: list[Snapshot]) -> dict[str, list[float]]:
    """CPUs in use between each two neighbouring snapshots, by process (1.0 = one core)."""
    names = sorted({name for snapshot in snapshots for name in snapshot.cpu_seconds})
    series: dict[str, list[float]] = {name: [] for name in names}
    for before, after in pairwise(snapshots):
        seconds = after.at - before.at
        for name in names:
            used = after.cpu_seconds.get(name, 0.0) - before.cpu_seconds.get(name, 0.0)
            series[name].append(max(0.0, used / seconds) if seconds > 0 else 0.0)
    return series


def memory_mib(snapshots: list[Snapshot]) -> dict[str, list[float]]:
    """MiB resident at each snapshot, by process; 0 while it did not run."""
    names = sorted({name for snapshot in snapshots for name in snapshot.memory_bytes})
    return {name: [snapshot.memory_bytes.get(name, 0) / 2**20 for snapshot in snapshots] for name in names}
