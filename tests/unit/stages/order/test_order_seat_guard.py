"""The guard in a small table: buyers of different seats are not in each other's way for what they read."""

from __future__ import annotations

import asyncio

import pytest

from order import bookings, seat_guard
from order.resources import Resources
from order.seats import Seat
from tests.unit.stages.order.in_service import InService
from tests.unit.stages.order.test_order_booking_plan import fill, show

BUYERS = 100


@pytest.mark.parametrize("rows", [10, 1_000])
@pytest.mark.parametrize("shows", [1, 100])
def test_nobody_is_given_up_who_wants_another_seat_than_the_rest(rows: int, shows: int, in_service: InService) -> None:
    async def book(resources: Resources, number: int) -> int:
        schedule, seats = show(1 + number % shows), [Seat(50, 1 + number)]
        booked = await seat_guard.guarded(
            resources.database, lambda session: bookings._book(session, schedule, 1, seats, 300.0)
        )
        return len(booked)

    async def test(resources: Resources) -> None:
        await fill(resources, rows)
        await resources.database.check()
        booked = await asyncio.gather(*(book(resources, number) for number in range(1, BUYERS + 1)))
        assert booked == [1] * BUYERS

    in_service(test)


def test_a_booking_in_conflict_is_not_kept_waiting_for_long() -> None:
    pauses = [seat_guard.pause_before(attempt) for attempt in range(1, seat_guard.ATTEMPTS)]
    assert pauses == sorted(pauses)
    assert pauses[0] == seat_guard.FIRST_PAUSE_SECONDS
    assert sum(pauses) < 1.0
