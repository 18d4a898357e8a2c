"""What the figures rest on: CPU caps, and the sampler of CPU and memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.launch.instance_size import CpuCaps, NoCaps, open_caps
from harness.sample import Sampler, Snapshot
from harness.sample.sampler import cpus_in_use, evenly, memory_mib
from harness.supervise import ManagedProcess, Supervisor

BUSY = "while True: pass"


@pytest.fixture
def busy(supervisor: Supervisor, tmp_path: Path) -> Iterator[ManagedProcess]:
    process = supervisor.spawn("busy", [sys.executable, "-c", BUSY], log=tmp_path / "busy.log")
    yield process
    supervisor.release(process)


@pytest.fixture
def caps(supervisor: Supervisor) -> Iterator[CpuCaps]:
    opened = open_caps(True, supervisor.own_cgroup)
    yield opened
    opened.release()


def share_of_a_core(pid: int, seconds: float = 1.0) -> float:
    sampler = Sampler()
    sampler.watch("busy", pid)
    before = sampler.snapshot()
    time.sleep(seconds)  # the measured time itself, not a wait for something
    after = sampler.snapshot()
    return (after.cpu_seconds["busy"] - before.cpu_seconds["busy"]) / (after.at - before.at)


def test_a_cap_holds(busy: ManagedProcess, caps: CpuCaps) -> None:
    if isinstance(caps, NoCaps):
        pytest.skip(caps.reason)
    caps.cap("busy", [busy.pid], 0.15)
    # A busy loop alone would use a whole core; two periods of slack at either end of the second.
    assert 0.05 < share_of_a_core(busy.pid) < 0.25


def test_groups_are_removed(supervisor: Supervisor, tmp_path: Path) -> None:
    caps = open_caps(True, supervisor.own_cgroup)
    if isinstance(caps, NoCaps):
        pytest.skip(caps.reason)
    process = supervisor.spawn("busy", [sys.executable, "-c", BUSY], log=tmp_path / "busy.log")
    caps.cap("busy", [process.pid], 0.2)
    root = caps._root  # type: ignore[attr-defined]
    assert root.exists()
    supervisor.release(process)
    caps.release()
    assert not root.exists()


def test_no_cap_says_why() -> None:
    caps = open_caps(False, lambda path: None)
    assert caps.applied == "none"
    assert caps.reason


def test_the_sampler_counts_children_that_have_ended(tmp_path: Path) -> None:
    """What a child used is its parent's once the parent has waited for it."""
    child = "sum(i * i for i in range(3_000_000))"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('done', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        sampler = Sampler()
        sampler.watch("parent", process.pid, has_children=True)
        used = sampler.snapshot().cpu_seconds["parent"]
        process.kill()
    assert used > 0.1


def test_a_successor_continues_the_count(busy: ManagedProcess) -> None:
    sampler = Sampler()
    sampler.watch("service", busy.pid)
    share_of_a_core(busy.pid, 0.3)
    before = sampler.snapshot().cpu_seconds["service"]
    busy.kill()
    busy.respawn()
    sampler.watch("service", busy.pid)
    assert sampler.snapshot().cpu_seconds["service"] >= before


def test_a_process_that_has_ended_keeps_its_count_and_holds_nothing(busy: ManagedProcess) -> None:
    sampler = Sampler()
    sampler.watch("service", busy.pid)
    share_of_a_core(busy.pid, 0.3)
    before = sampler.snapshot()
    assert before.memory_bytes["service"] > 2**20
    busy.kill()
    after = sampler.snapshot()
    assert after.cpu_seconds["service"] >= before.cpu_seconds["service"] > 0
    assert after.memory_bytes["service"] == 0


def test_memory_that_processes_share_counts_once() -> None:
    """A parent and three children, 40 MiB shared by all, 10 MiB more in each child."""
    program = """
import mmap, os, sys
shared = mmap.mmap(-1, 40 * 2**20)
shared.write(b"x" * len(shared))
for _ in range(3):
    if os.fork() == 0:
        shared[:] = b"y" * len(shared)
        own = b"z" * (10 * 2**20)
        os.write(1, b"ready\\n")
        sys.stdin.read()
        os._exit(0)
os.write(1, b"ready\\n")
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(4)] == ["ready\n"] * 4
        sampler = Sampler()
        sampler.watch("alone", process.pid)
        sampler.watch("all", process.pid, has_children=True)
        memory = sampler.snapshot().memory_bytes
        process.communicate()
    family = (memory["all"] - memory["alone"]) / 2**20
    # 3 × 10 MiB, and what a fork of the interpreter has of its own; were the buffer counted each time, 150 MiB.
    assert 30 <= family < 60


def test_snapshots_are_taken_from_bound_to_bound() -> None:
    first, last = Snapshot(10.0, {}), Snapshot(12.1, {})
    taken = [Snapshot(at, {}) for at in (10.003, 10.5, 11.0, 11.5, 12.0)]
    assert [one.at for one in evenly(first, taken, last, step=0.5)] == [10.0, 10.5, 11.0, 11.5, 12.1]
    assert evenly(first, [], last) == [first, last]


def test_memory_is_told_in_mib() -> None:
    snapshots = [Snapshot(0.0, {}, {"a": 2**20}), Snapshot(0.5, {}, {"a": 3 * 2**19, "b": 2**21})]
    assert memory_mib(snapshots) == {"a": [1.0, 1.5], "b": [0.0, 2.0]}


def test_cpus_in_use_are_differences() -> None:
    snapshots = [Snapshot(0.0, {"a": 1.0}), Snapshot(0.5, {"a": 1.25}), Snapshot(1.5, {"a": 1.35, "b": 0.2})]
    series = cpus_in_use(snapshots)
    assert series["a"] == pytest.approx([0.5, 0.1])
    assert series["b"] == pytest.approx([0.0, 0.2])
