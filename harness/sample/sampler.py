"""Reads the CPU time of process trees at a steady step, and at the two moments that bound a measurement."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise

import psutil

STEP_SECONDS = 0.5


@dataclass(frozen=True)
class Snapshot:
    """Cumulative CPU seconds (user + system) by process name, at one moment of the monotonic clock."""

    at: float
    cpu_seconds: Mapping[str, float]


class _Tree:
    """A process and its descendants, such as PostgreSQL's backends.

    A descendant that has ended is counted by the parent that waited for it, so that nothing is lost.
    """

    def __init__(self, pid: int, has_children: bool) -> None:
        self._root = psutil.Process(pid)
        self._has_children = has_children

    def members(self) -> list[psutil.Process]:
        children = self._root.children(recursive=True) if self._has_children else []
        return [self._root, *children]

    def cpu_seconds(self) -> float:
        total = 0.0
        for process in self.members():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                times = process.cpu_times()
                total += times.user + times.system
                if process is self._root:
                    total += times.children_user + times.children_system
        return total

    def memory_bytes(self) -> int:
        """Proportional set size: memory that is shared counts once over all who share it (proc_pid_smaps(5))."""
        total = 0
        for process in self.members():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                info = process.memory_full_info()
                total += getattr(info, "pss", info.uss)
        return total


class Sampler:
    """Samples named process trees in a thread of its own, from ``start`` to ``stop``.

    A process that ends (a fault, a restart) keeps the CPU it had used; its successor is added under the same name.
    """

    def __init__(self, step_seconds: float = STEP_SECONDS) -> None:
        self._step = step_seconds
        self._trees: dict[str, _Tree] = {}
        self._last: dict[str, float] = {}
        self._carried: dict[str, float] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.snapshots: list[Snapshot] = []

    def watch(self, name: str, pid: int, *, has_children: bool = False) -> None:
        """Samples the tree of ``pid`` as ``name`` from now on."""
        with self._lock:
            self._carried[name] = self._carried.get(name, 0.0) + self._last.get(name, 0.0)
            self._last[name] = 0.0
            self._trees[name] = _Tree(pid, has_children)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def snapshot(self) -> Snapshot:
        """What every process has used until now."""
        with self._lock:
            at = time.monotonic()
            for name, tree in self._trees.items():
                with suppress(psutil.NoSuchProcess):
                    self._last[name] = tree.cpu_seconds()
            return Snapshot(at, {name: self._carried[name] + used for name, used in self._last.items()})

    def memory_bytes(self) -> dict[str, int]:
        """Resident memory of every process tree now; costs some milliseconds a process."""
        with self._lock:
            memory = {}
            for name, tree in self._trees.items():
                with suppress(psutil.NoSuchProcess):
                    memory[name] = tree.memory_bytes()
            return memory

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            self.snapshots.append(self.snapshot())
            due += self._step
            self._stop.wait(max(0.0, due - time.monotonic()))


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
