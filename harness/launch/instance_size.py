"""The CPU budget of each instance, enforced by Linux control groups where the machine permits it.

The original ran each service at half a core. A quota is enforced once a period; with the kernel's default of 100 ms
an instance of 0.15 CPU would stand still for 85 ms at a time, which no client would take for a small computer. A
period of 10 ms keeps it smooth (kernel documentation, "CFS Bandwidth Control" and "Control Group v2", cpu.max).
"""

from __future__ import annotations

import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from harness.store.summary import Applied

PERIOD_US = 10_000
# The kernel refuses a quota below 1 ms.
MIN_CPUS = 1_000 / PERIOD_US

CGROUP_V2 = Path("/sys/fs/cgroup")


class CpuCaps(ABC):
    """Caps groups of processes; ``applied`` says by what means."""

    applied: Applied
    reason: str = ""
    """Why there is no cap, where there is none."""

    @abstractmethod
    def cap(self, name: str, pids: Iterable[int], cpus: float) -> None:
        """Lets the processes ``pids`` together use ``cpus`` CPUs from now on, and their later children with them."""

    @abstractmethod
    def release(self) -> None:
        """Ends all caps and removes the groups."""


class NoCaps(CpuCaps):
    """Where no cap was asked for, or none is permitted."""

    applied: Applied = "none"

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def cap(self, name: str, pids: Iterable[int], cpus: float) -> None:
        return

    def release(self) -> None:
        return


class _Cgroups(CpuCaps):
    def __init__(self, parent: Path, own: Callable[[Path], None]) -> None:
        self._root = parent / f"fortickets-{os.getpid()}-{secrets.token_hex(3)}"
        self._groups: list[Path] = []
        own(self._root)
        self._root.mkdir()

    def cap(self, name: str, pids: Iterable[int], cpus: float) -> None:
        group = self._root / f"{name}-{len(self._groups)}"
        group.mkdir()
        self._groups.append(group)
        self._limit(group, cpus)
        for pid in pids:
            # A helper thread's process may have ended between being listed and being moved.
            with suppress(ProcessLookupError):
                (group / "cgroup.procs").write_text(str(pid))

    @abstractmethod
    def _limit(self, group: Path, cpus: float) -> None: ...

    def release(self) -> None:
        for group in reversed(self._groups):
            with suppress(FileNotFoundError):
                self._let_go(group)
                group.rmdir()
        with suppress(FileNotFoundError):
            self._root.rmdir()
        self._groups.clear()

    def _let_go(self, group: Path) -> None:
        """Moves processes that still run back to where they came from: a group with processes cannot be removed."""
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (self._root.parent / "cgroup.procs").write_text(pid)


class CgroupV1(_Cgroups):
    applied: Applied = "cgroup v1"

    def _limit(self, group: Path, cpus: float) -> None:
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(int(cpus * PERIOD_US)))


class CgroupV2(_Cgroups):
    applied: Applied = "cgroup v2"

    def __init__(self, parent: Path, own: Callable[[Path], None]) -> None:
        super().__init__(parent, own)
        try:
            (self._root / "cgroup.subtree_control").write_text("+cpu")
        except OSError:
            self.release()
            raise

    def _limit(self, group: Path, cpus: float) -> None:
        (group / "cpu.max").write_text(f"{int(cpus * PERIOD_US)} {PERIOD_US}")


def open_caps(wanted: bool, own: Callable[[Path], None]) -> CpuCaps:
    """The best means of capping that this machine permits.

    ``own`` is told of each folder that is made, so that a run which was killed leaves none behind.
    """
    if not wanted:
        return NoCaps("no cap was asked for")
    try:
        if (CGROUP_V2 / "cgroup.controllers").exists():
            return _open_v2(own)
        return _open_v1(own)
    except OSError as problem:
        return NoCaps(f"this machine permits no CPU caps to this user ({problem.strerror}: {problem.filename})")


def _open_v2(own: Callable[[Path], None]) -> CpuCaps:
    controllers = (CGROUP_V2 / "cgroup.controllers").read_text().split()
    if "cpu" not in controllers:
        return NoCaps("the cpu controller is not enabled on this machine's control groups")
    with suppress(OSError):
        (CGROUP_V2 / "cgroup.subtree_control").write_text("+cpu")
    return CgroupV2(CGROUP_V2, own)


def _open_v1(own: Callable[[Path], None]) -> CpuCaps:
    mount = _v1_mount()
    if mount is None:
        return NoCaps("no cpu controller is mounted on this machine")
    return CgroupV1(mount / _v1_own_group().lstrip("/"), own)


def _v1_mount() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Path(target)
    return None


def _v1_own_group() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, group = line.split(":", 2)
        if "cpu" in controllers.split(","):
            return group
    return "/"
