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
from harness.load.result import ACCEPTED, DROPPED, OK, POLLED, REFUSED, UNANSWERED, LoadResult
from harness.sample import Sampler, Snapshot
from harness.sample.sampler import cpus_in_use, evenly, memory_mib
from harness.supervise import ManagedProcess, Supervisor
from scenarios.arrivals import Arrivals, Surge
from scenarios.dataset import (
    DATASETS,
    VENUE_COLUMNS,
    VENUE_ROWS,
    booking_rows,
    concert_of,
    concert_rows,
    schedule_rows,
    user_rows,
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
    # A refusal is an answer as good as any other; a failure has no latency.
    assert result.mean_ms == pytest.approx((10 + 20 + 30 + 5) / 4)
    assert result.p50_ms == pytest.approx(10.0, rel=0.001)
    assert [(kept.path, kept.body) for kept in result.answers] == [("/path?page=1", "kept")] * 2
    assert (sum(result.per_second_ok), sum(result.per_second_refused), sum(result.per_second_failed)) == (3, 1, 4)
    assert result.last_answer_ms is not None
    assert 0 < result.last_answer_ms <= result.seconds * 1000
    assert [sample.name for sample in recorder.samples()] == ["page"] * 8
    result.save(tmp_path / "result.json")
    assert LoadResult.load(tmp_path / "result.json") == result


def test_arrivals_are_due_at_a_steady_rate() -> None:
    arrivals = Arrivals(began=100.0, rate=8.0)
    assert [*arrivals.between(100.0, 100.5)] == [0, 1, 2, 3]
    assert [*arrivals.between(100.3, 100.5)] == [3]
    assert [*arrivals.between(90.0, 100.1)] == [0]
    assert [arrivals.number(100.0 + n / 8 + 0.002) for n in range(5)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("surge", [None, Surge(4.0, at_seconds=2.0, seconds=1.5)])
def test_a_clock_tells_the_same_both_ways(surge: Surge | None) -> None:
    arrivals = Arrivals(100.0, 8.0, surge)
    dues = [arrivals.due(number) for number in range(120)]
    assert dues == sorted(dues)
    assert [arrivals.number(due + 0.002) for due in dues] == [*range(120)]
    for first, last in ((100.1, 101.9), (101.9, 102.3), (102.3, 103.4), (103.4, 108.0)):
        assert [*arrivals.between(first, last)] == [n for n, due in enumerate(dues) if first <= due < last]


def test_a_surge_is_a_multiple_for_its_time() -> None:
    arrivals = Arrivals(100.0, 8.0, Surge(3.0, at_seconds=0.5, seconds=2.0).after(1.5))
    assert [len(arrivals.between(at, at + 1)) for at in (100.0, 101.0, 102.0, 103.0, 104.0)] == [8, 8, 24, 24, 8]


def test_a_request_of_an_open_load_counts_where_it_was_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten a second, a window from 1 s to 2 s: what was due before it is left out, what is answered behind it is not."""
    now = 100.0
    monkeypatch.setattr("harness.load.recorder.time", SimpleNamespace(perf_counter=lambda: now))
    recorder = Recorder(keep_every=1)

    def answered(number: int, at: float, *, late_ms: float = 0.0, status: int = 200) -> None:
        nonlocal now
        now = at
        took_ms = 1000 * (at - 100.0 - number / 10) - late_ms
        recorder("PATCH", "cancel", took_ms, None, answer(status), context={"late_ms": late_ms})

    now = 101.0
    recorder.begin(Arrivals(100.0, 10.0))
    answered(9, 101.2)  # due at 0.9 s
    for number in (10, 11, 12):
        answered(number, 101.3)
    answered(13, 101.8, late_ms=200.0)
    recorder.on_dropped()
    now = 102.0
    recorder.end()
    answered(14, 103.4)
    answered(15, 103.5, status=503)
    answered(20, 103.6)  # due at 2.0 s
    result = recorder.result([])
    # 16 to 19 were due as well: one of them was never sent, the others are not known to have been answered.
    assert result.outcomes == {OK: 5, "HTTP 503": 1, DROPPED: 1, UNANSWERED: 3}
    assert (result.succeeded, result.failed, result.late, result.dropped) == (5, 5, 1, 1)
    assert result.mean_ms == pytest.approx((300 + 200 + 100 + 500 + 2000) / 5)
    assert result.p99_ms == pytest.approx(2000, rel=0.001)
    # Over time, an answer is told when it comes.
    assert result.per_second_ok == [5]
    assert sorted(sample.started_s for sample in recorder.samples()) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_an_open_load_waits_for_what_was_due_and_for_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 101.0
    monkeypatch.setattr("harness.load.recorder.time", SimpleNamespace(perf_counter=lambda: now))
    recorder = Recorder(keep_every=1)
    recorder.begin(Arrivals(100.0, 10.0))
    now = 102.0
    recorder.end()
    for number in (9, *range(10, 19), 20, 21):
        now = 102.5 + number / 10
        recorder("PATCH", "cancel", 2500.0, None, answer(200), context={"late_ms": 0.0})
        assert recorder.waits(), "number 19 was due as well"
    now = 104.9
    recorder("PATCH", "cancel", 2500.0, None, answer(503), context={"late_ms": 500.0})
    assert not recorder.waits()
    assert recorder.result([]).outcomes == {OK: 9, "HTTP 503": 1}


def test_a_closed_loop_waits_for_nothing() -> None:
    recorder = Recorder(keep_every=1)
    recorder.begin()
    recorder.end()
    assert not recorder.waits()


def test_a_ticket_is_an_answer_and_no_success() -> None:
    recorder = Recorder(keep_every=1)
    recorder.begin()
    recorder("POST", "book", 4.0, None, answer(202))
    recorder("GET", "ticket", 2.0, None, answer(200), context={"polls": True, "follows": True})
    recorder("GET", "ticket", 900.0, Exception("bad"), answer(503), context={"polls": True, "follows": True})
    recorder("POST", "book", 400.0, None, answer(200))
    recorder.end()
    result = recorder.result([])
    assert result.outcomes == {ACCEPTED: 1, POLLED: 1, "HTTP 503": 1, OK: 1}
    assert (result.succeeded, result.accepted, result.failed, result.requests) == (1, 1, 1, 4)
    assert (result.prompt, result.server_errors) == (2, 1)
    assert result.mean_ms == pytest.approx((4 + 2 + 400) / 3)
    assert result.per_second_accepted == [1]
    assert [kept.body for kept in result.answers] == ["{}"]


def test_a_visit_is_one_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten visits a second, a window from 1 s to 2 s: the requests that follow count by when they were sent."""
    now = 101.0
    monkeypatch.setattr("harness.load.recorder.time", SimpleNamespace(perf_counter=lambda: now))
    recorder = Recorder(keep_every=1)
    recorder.begin(Arrivals(100.0, 10.0))
    for number in range(10, 20):
        now = 100.0 + number / 10 + 0.02
        recorder("GET", "page", 20.0, None, answer(200), context={"late_ms": 0.0})
        now += 0.3
        recorder("GET", "seats", 300.0, None, answer(200), context={"follows": True})
        now += 0.05
        recorder("POST", "book", 30.0, None, answer(200), context={"follows": True})
    now = 102.0
    recorder.end()
    # Of the last two visits the bookings are sent behind the window, and of the very last the seats are not.
    assert recorder.result([]).outcomes == {OK: 10 + 10 + 7}


def test_nothing_recorded_is_no_latency() -> None:
    recorder = Recorder(keep_every=1)
    recorder.begin()
    recorder.end()
    result = recorder.result([])
    assert (result.succeeded, result.mean_ms, result.p99_ms) == (0, None, None)


def test_the_data_set_is_the_same_every_time() -> None:
    dataset = replace(DATASETS["default"], concerts=30, today=date(2026, 11, 1))
    for rows in (concert_rows, schedule_rows, booking_rows):
        assert list(rows(dataset)) == list(rows(dataset))
    assert list(concert_rows(dataset)) != list(concert_rows(replace(dataset, seed=2)))


def test_the_data_set_keeps_the_platforms_rules() -> None:
    dataset = replace(DATASETS["default"], concerts=30)
    concerts = {row[0]: row for row in concert_rows(dataset)}
    for schedule, concert, venue, day, _ in schedule_rows(dataset):
        assert concert == concert_of(dataset, schedule)
        assert concerts[concert][4] <= day <= concerts[concert][5]
        assert 1 <= venue <= dataset.venues
    seats = [(row[3], row[7], row[8]) for row in booking_rows(dataset)]
    assert len(seats) == len(set(seats)) == dataset.bookings
    assert all(1 <= row <= VENUE_ROWS and 1 <= column <= VENUE_COLUMNS for _, row, column in seats)
    users = list(user_rows(dataset, "hash"))
    for column in (0, 1, 2, 3):
        assert len({user[column] for user in users}) == len(users)
    assert all(len(user[2]) <= 10 and len(user[3]) <= 11 for user in users)


def test_large_is_as_large_as_it_says() -> None:
    large = DATASETS["large"]
    assert (large.concerts, large.schedules, large.bookings) == (2_000, 20_000, 200_000)
