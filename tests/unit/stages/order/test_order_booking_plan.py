"""What a booking reads in the database: the seats that it wants, and nothing else."""

from __future__ import annotations

from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import Table, text

from order import bookings
from order.models import Booking
from order.resources import Resources
from order.schedules import ScheduleDetail
from tests.unit.stages.order.in_service import InService

FILL = text("""
    INSERT INTO bookings (user_id, concert_id, schedule_id, price, status, seat_row, seat_column)
    SELECT 1, 1, 1 + i % 100, 10, 'PENDING', 1 + i / 1000, 1 + i / 100 % 10 FROM generate_series(0, :rows - 1) i
""")
REQUEST: dict[str, Any] = {
    "user_id": 1, "concert_id": 1, "schedule_id": 1, "price": 10, "hold_seconds": 300, "rows": [50], "columns": [5],
}  # fmt: skip


def show(schedule_id: int) -> ScheduleDetail:
    return ScheduleDetail(
        id=schedule_id, concert_id=1, concert_name="Spring", runtime=120, price=10, seller_id=2, stage_name="Hall",
        location="Seoul", row=99, col=99, concert_date=date(2031, 3, 5), concert_time=time(19, 30),
    )  # fmt: skip


async def fill(resources: Resources, rows: int) -> None:
    """So many bookings, and PostgreSQL knows how few they are."""
    await resources.database.rows(text("TRUNCATE bookings CASCADE"))
    await resources.database.rows(FILL, rows=rows)
    await resources.database.rows(text("ANALYZE bookings"))


@pytest.mark.parametrize("rows", [1, 10, 150, 1_000])
@pytest.mark.parametrize("plan", ["force_custom_plan", "force_generic_plan"])
def test_a_booking_reads_nothing_but_the_seats_it_wants(rows: int, plan: str, in_service: InService) -> None:
    table = Booking.__table__
    assert isinstance(table, Table)
    (index,) = (index.name for index in table.indexes if str(index.name).endswith("_active_seat"))

    async def test(resources: Resources) -> None:
        await fill(resources, rows)
        async with resources.database.transaction() as transaction:
            await transaction.rows(text(f"SET LOCAL plan_cache_mode = {plan}"))
            lines = [line for (line,) in await transaction.rows(text(f"EXPLAIN {bookings._BOOK.text}"), **REQUEST)]
        reads = [line for line in lines if " on bookings" in line and "Insert on" not in line]
        assert [line.split(" on ")[0].split("->  ")[-1] for line in reads] == [f"Index Only Scan using {index}"], lines
        condition = lines[lines.index(reads[0]) + 1]
        assert all(column in condition for column in ("schedule_id =", "seat_row =", "seat_column =")), lines

    in_service(test)
