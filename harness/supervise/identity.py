"""Who a process is: a pid alone is reused, a pid together with its start time is not."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of this boot: its pid and the mark of when it started."""

    pid: int
    start: str

    @classmethod
    def of(cls, pid: int) -> ProcessIdentity | None:
        """The identity of a running process; None when there is none, or only a zombie."""
        start = start_mark(pid)
        return None if start is None else cls(pid, start)

    def alive(self) -> bool:
        """Whether this very process still runs (another one under the same pid does not count)."""
        return start_mark(self.pid) == self.start


@dataclass(frozen=True)
class Machine:
    """Where a pid means something: one host, one boot, one pid namespace (a container has its own)."""

    host: str
    boot: str
    pid_namespace: str


def start_mark(pid: int) -> str | None:
    """When process ``pid`` started, as text that is only ever compared for equality; None if it does not run.

    On Linux these are the clock ticks since boot (field 22 of proc_pid_stat(5)). psutil's ``create_time`` adds the
    boot time to them, which the kernel recomputes when the wall clock is set: a corrected clock would make every
    living process look like another one (giampaolo/psutil issues 2526 and 2541). Elsewhere ``create_time`` it is.
    """
    if sys.platform == "linux":
        return _linux_start_mark(pid)
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else repr(process.create_time())
    except psutil.NoSuchProcess:
        return None


def _linux_start_mark(pid: int) -> str | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name stands in brackets and may hold blanks and brackets itself: count from the last one.
    fields = stat.rpartition(")")[2].split()
    state, start_ticks = fields[0], fields[19]
    return None if state in "ZX" else start_ticks


@cache
def this_machine() -> Machine:
    """The machine, boot and pid namespace that this process runs in."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    namespace = Path("/proc/self/ns/pid")
    return Machine(
        host=platform.node(),
        boot=boot_id.read_text().strip() if boot_id.exists() else str(int(psutil.boot_time())),
        pid_namespace=str(namespace.readlink()) if namespace.exists() else "",
    )
