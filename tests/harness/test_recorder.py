"""What the clients' requests come to: outcomes, arrivals at a fixed rate, and when a load has been answered."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.load.recorder import Recorder
from harness.load.result import ACCEPTED, DROPPED, OK, POLLED, REFUSED, UNANSWERED, LoadResult
from scenarios.arrivals import Arrivals, Surge


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
