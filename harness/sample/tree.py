"""A process and its descendants, read as one: CPU time and resident memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


@dataclass(frozen=True)
class Usage:
    """What a tree of processes has used and holds at one moment."""

    cpu_seconds: float
    """User and system, since the start; a descendant that has ended is counted by the parent that waited for it."""
    memory_bytes: int
    """Resident memory, in which what the processes share counts once.

    The private pages (``resident - shared`` of proc_pid_statm(5)) of all of them, and the shared ones, as PostgreSQL's
    buffers, of the process that has touched the most. It costs a tenth of the proportional set size, which makes the
    kernel walk every page table, and comes within a few percent of it for PostgreSQL; a single process is counted with
    its libraries.
    """


class Tree:
    """A process, with its descendants where it has some, such as PostgreSQL's backends."""

    def __init__(self, pid: int, has_children: bool) -> None:
        self._root = psutil.Process(pid)
        self._has_children = has_children
        self._known: dict[int, psutil.Process] = {}

    def usage(self) -> Usage:
        """What the tree uses now; one that has ended uses nothing."""
        cpu_seconds, private, shared = 0.0, 0, 0
        for process in self._members():
            with suppress(*_GONE):
                times = process.cpu_times()
                cpu_seconds += times.user + times.system
                if process is self._root:
                    cpu_seconds += times.children_user + times.children_system
                memory = process.memory_info()
                # macOS does not tell them apart: there, what is shared counts in each process.
                shareable = getattr(memory, "shared", 0)
                private += memory.rss - shareable
                shared = max(shared, shareable)
        return Usage(cpu_seconds, private + shared)

    def _members(self) -> list[psutil.Process]:
        return [self._root, *self._descendants()] if self._has_children else [self._root]

    def _descendants(self) -> list[psutil.Process]:
        pids = _descendants(self._root.pid)
        if pids is None:
            return self._root.children(recursive=True)
        # Making a Process reads its start time; the backends of a pool stay for the whole run.
        self._known = {pid: process for pid in pids if (process := self._process(pid)) is not None}
        return list(self._known.values())

    def _process(self, pid: int) -> psutil.Process | None:
        with suppress(*_GONE):
            return self._known.get(pid) or psutil.Process(pid)
        return None


def _descendants(pid: int) -> list[int] | None:
    """The pids below ``pid``, from the kernel's own lists; None where it keeps none (CONFIG_PROC_CHILDREN).

    psutil looks at every process of the machine instead. Only children of main threads are seen, which is where the
    servers that are sampled fork.
    """
    found: list[int] = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        except (FileNotFoundError, ProcessLookupError):
            if parent == pid:
                return None
            continue
        waiting += map(int, children)
        found += map(int, children)
    return found
