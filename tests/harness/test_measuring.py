"""What the figures rest on: CPU caps, the sampler, the recorder, the seeded data."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.launch.instance_size import CpuCaps, NoCaps, open_caps
from harness.load.recorder import Recorder
from harness.load.result import OK, REFUSED, LoadResult
from harness.sample import Sampler, Snapshot
from harness.sample.sampler import cpus_in_use
from harness.supervise import ManagedProcess, Supervisor
from scenarios.dataset import (  # the rows, without a database
    DATASETS,
    VENUE_COLUMNS,
    VENUE_ROWS,
    _bookings,
    _concerts,
    _schedules,
    _users,
    concert_of,
)

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


def test_cpus_in_use_are_differences() -> None:
    snapshots = [Snapshot(0.0, {"a": 1.0}), Snapshot(0.5, {"a": 1.25}), Snapshot(1.5, {"a": 1.35, "b": 0.2})]
    series = cpus_in_use(snapshots)
    assert series["a"] == pytest.approx([0.5, 0.1])
    assert series["b"] == pytest.approx([0.0, 0.2])


def answer(status: int, text: str = "{}") -> SimpleNamespace:
    return SimpleNamespace(status_code=status, text=text, url="http://gateway/path?page=1")


def test_the_recorder_tells_outcomes_apart(tmp_path: Path) -> None:
    recorder = Recorder(keep_every=2, refusals=[4000])
    recorder("GET", "early", 1.0, None, answer(200))
    recorder.begin()
    for latency in (10.0, 20.0, 30.0):
        recorder("GET", "page", latency, None, answer(200, "kept"))
    recorder("GET", "page", 5.0, Exception("bad"), answer(503, '{"code": 5000}'))
    recorder("GET", "page", 5.0, Exception("bad"), answer(502, "<html>"))
    recorder("GET", "page", 5.0, Exception("taken"), answer(400, '{"code": 4000}'))
    recorder("GET", "page", 5.0, TimeoutError(), None)
    recorder("GET", "page", 5.0, ConnectionResetError(), answer(0))
    recorder.end()
    recorder("GET", "late", 1.0, None, answer(200))
    result = recorder.result([])
    assert result.outcomes == {
        OK: 3,
        "HTTP 503, code 5000": 1,
        "HTTP 502": 1,
        "time-out": 1,
        REFUSED: 1,
        "connection: ConnectionResetError": 1,
    }
    assert (result.succeeded, result.refused, result.failed) == (3, 1, 4)
    assert result.mean_ms == pytest.approx(20.0)
    assert result.p50_ms == pytest.approx(20.0, rel=0.001)
    assert [(kept.path, kept.body) for kept in result.answers] == [("/path?page=1", "kept")] * 2
    assert sum(result.per_second_ok) == 3
    assert [sample.name for sample in recorder.samples()] == ["page"] * 8
    result.save(tmp_path / "result.json")
    assert LoadResult.load(tmp_path / "result.json") == result


def test_nothing_recorded_is_no_latency() -> None:
    recorder = Recorder(keep_every=1)
    recorder.begin()
    recorder.end()
    result = recorder.result([])
    assert (result.succeeded, result.mean_ms, result.p99_ms) == (0, None, None)


def test_the_data_set_is_the_same_every_time() -> None:
    dataset = replace(DATASETS["default"], concerts=30, today=date(2026, 11, 1))
    for rows in (_concerts, _schedules, _bookings):
        assert list(rows(dataset)) == list(rows(dataset))
    assert list(_concerts(dataset)) != list(_concerts(replace(dataset, seed=2)))


def test_the_data_set_keeps_the_platforms_rules() -> None:
    dataset = replace(DATASETS["default"], concerts=30)
    concerts = {row[0]: row for row in _concerts(dataset)}
    for schedule, concert, venue, day, _ in _schedules(dataset):
        assert concert == concert_of(dataset, schedule)
        assert concerts[concert][4] <= day <= concerts[concert][5]
        assert 1 <= venue <= dataset.venues
    seats = [(row[3], row[7], row[8]) for row in _bookings(dataset)]
    assert len(seats) == len(set(seats)) == dataset.bookings
    assert all(1 <= row <= VENUE_ROWS and 1 <= column <= VENUE_COLUMNS for _, row, column in seats)
    users = list(_users(dataset, "hash"))
    for column in (0, 1, 2, 3):
        assert len({user[column] for user in users}) == len(users)
    assert all(len(user[2]) <= 10 and len(user[3]) <= 11 for user in users)


def test_large_is_as_large_as_it_says() -> None:
    large = DATASETS["large"]
    assert (large.concerts, large.schedules, large.bookings) == (2_000, 20_000, 200_000)
