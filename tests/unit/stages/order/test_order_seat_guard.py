"""The guard in a small table: buyers of different seats are not in each other's way for what they read."""

from __future__ import annotations

import asyncio
from datetime import date, time

import pytest
from sqlalchemy import text

from order import bookings
from order.resources import Resources
from order.schedules import ScheduleDetail
from order.seat_guard import guarded
from order.seats import Seat
from tests.unit.stages.order.in_service import InService

BUYERS = 100

FILL = text("""
    INSERT INTO bookings (user_id, concert_id, schedule_id, price, status, seat_row, seat_column)
    SELECT 1, 1, 1 + i % 100, 10, 'PENDING', 1 + i / 1000, 1 + i / 100 % 10 FROM generate_series(0, :rows - 1) i
""")
REQUEST = {
    "user_id": 1, "concert_id": 1, "schedule_id": 1, "price": 10, "hold_seconds": 300, "rows": [50], "columns": [5],
}  # fmt: skip


def show(schedule_id: int) -> ScheduleDetail:
    return ScheduleDetail(
        id=schedule_id, concert_id=1, concert_name="Spring", runtime=120, price=10, seller_id=2, stage_name="Hall",
        location="Seoul", row=99, col=99, concert_date=date(2031, 3, 5), concert_time=time(19, 30),
    )  # fmt: skip


async def fill(resources: Resources, rows: int) -> None:
    """So many bookings, and PostgreSQL knows how few they are."""
    async with resources.database.autocommit() as connection:
        for statement in (text("TRUNCATE bookings CASCADE"), FILL.bindparams(rows=rows), text("ANALYZE bookings")):
            await connection.execute(statement)


@pytest.mark.parametrize("rows", [1, 10, 150, 1_000])
@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
def test_a_booking_reads_nothing_but_the_seats_it_wants(rows: int, plan: str, in_service: InService) -> None:
    async def test(resources: Resources) -> None:
        await fill(resources, rows)
        async with resources.database.autocommit() as connection:
            await connection.execute(text(f"SET plan_cache_mode = {plan}"))
            explained = await connection.execute(text(f"EXPLAIN {bookings._BOOK.text}"), REQUEST)
            lines = list(explained.scalars())
        reads = [line for line in lines if " on bookings" in line and "Insert on" not in line]
        assert [line.split(" on ")[0].split("->  ")[-1] for line in reads] == [
            "Index Only Scan using ix_bookings_active_seat"
        ], lines
        condition = lines[lines.index(reads[0]) + 1]
        assert all(column in condition for column in ("schedule_id =", "seat_row =", "seat_column =")), lines

    in_service(test)


@pytest.mark.parametrize("rows", [10, 1_000])
@pytest.mark.parametrize("shows", [1, 100])
def test_nobody_is_given_up_who_wants_another_seat_than_the_rest(rows: int, shows: int, in_service: InService) -> None:
    async def book(resources: Resources, number: int) -> int:
        schedule, seats = show(1 + number % shows), [Seat(50, 1 + number)]
        booked = await guarded(resources.database, lambda session: bookings._book(session, schedule, 1, seats, 300.0))
        return len(booked)

    async def test(resources: Resources) -> None:
        await fill(resources, rows)
        await resources.database.check()
        booked = await asyncio.gather(*(book(resources, number) for number in range(1, BUYERS + 1)))
        assert booked == [1] * BUYERS

    in_service(test)
