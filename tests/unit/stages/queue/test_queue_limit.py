"""The limit follows the latency, and overload does not flap."""

from __future__ import annotations

import time

import pytest

from gateway.limit import CALM_SECONDS, Limit, Overload
from gateway.line import WATCH_SECONDS

LOOKS_UNTIL_CALM = round(CALM_SECONDS / WATCH_SECONDS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock: its one element."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def serve(limit: Limit, clock: list[float], seconds: float, answers: int, *, well: bool = True) -> None:
    """As many answers as are asked for, always as many at once as the limit lets in."""
    while answers > 0:
        entered = 0
        while limit.enter():
            entered += 1
        clock[0] += seconds
        for _ in range(entered):
            limit.leave(seconds, well=well)
        answers -= entered


def test_quick_answers_open_it_up_to_the_upper_bound(clock: list[float]) -> None:
    limit = Limit("test", 4, 64, 0.1)
    before = limit.places
    serve(limit, clock, 0.02, 200)
    assert before < limit.places < 64
    serve(limit, clock, 0.02, 20_000)
    assert limit.places == 64


def test_slow_answers_close_it_down_to_the_lower_bound(clock: list[float]) -> None:
    limit = Limit("test", 4, 64, 0.1)
    serve(limit, clock, 0.3, 5_000)
    assert limit.places == 4
    serve(limit, clock, 0.02, 5_000)
    assert limit.places > 4, "it opens again"


def test_failures_close_it_however_quick_they_are(clock: list[float]) -> None:
    limit = Limit("test", 4, 64, 0.1)
    serve(limit, clock, 0.02, 5_000, well=False)
    assert limit.places == 4


def test_it_settles_where_the_latency_is_what_it_steers_towards(clock: list[float]) -> None:
    """A service that works on ten requests at 20 ms; more wait for their turn there."""
    limit = Limit("test", 1, 1_000, 0.1)
    seen = []
    for _ in range(2_000):
        entered = 0
        while limit.enter():
            entered += 1
        seconds = 0.02 * max(1.0, entered / 10)
        clock[0] += seconds
        for _ in range(entered):
            limit.leave(seconds)
        seen.append(seconds)
    settled = sorted(seen[-500:])[250]
    assert 0.05 < settled < 0.15


def test_idle_places_say_nothing_of_more(clock: list[float]) -> None:
    limit = Limit("test", 4, 64, 0.1)
    before = limit.places
    for _ in range(1_000):
        assert limit.enter()
        clock[0] += 0.01
        limit.leave(0.01)
    assert limit.places == before


def test_it_is_fixed_where_both_bounds_are_one(clock: list[float]) -> None:
    limit = Limit("test", 8, 8, 0.1)
    for seconds in (0.01, 5.0):
        serve(limit, clock, seconds, 1_000)
        assert limit.places == 8
    assert [limit.enter() for _ in range(9)] == [True] * 8 + [False]


def test_overload_begins_at_once_and_ends_after_a_calm() -> None:
    overload = Overload(Limit("test", 4, 4))
    overload.looked(1)
    assert overload.is_on
    for _ in range(LOOKS_UNTIL_CALM - 1):
        overload.looked(0)
    assert overload.is_on, "an empty line is not a calm yet"
    overload.looked(0)
    assert not overload.is_on


def test_a_line_that_is_empty_now_and_then_does_not_end_it() -> None:
    overload = Overload(Limit("test", 4, 4))
    for look in range(100):
        overload.looked(1 if look % (LOOKS_UNTIL_CALM - 1) == 0 else 0)
        assert overload.is_on


def test_a_full_limit_does_not_end_it() -> None:
    limit = Limit("test", 4, 4)
    overload = Overload(limit)
    overload.begin()
    for _ in range(3):
        assert limit.enter()
    for _ in range(10 * LOOKS_UNTIL_CALM):
        overload.looked(0)
    assert overload.is_on
