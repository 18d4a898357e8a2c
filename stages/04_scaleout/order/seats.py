"""Seats: how they are written, and which are taken (those of PENDING, CONFIRMED and CANCEL_REQUESTED bookings)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ARRAY, BigInteger, String, any_, bindparam, cast, func, select

from common.database import Database
from common.errors import InvalidSeat, SameSeatTwice
from order.models import ACTIVE, Booking
from order.schemas import ActiveBookingsView

# Nine digits: more than any venue has, and few enough for a PostgreSQL integer.
_SEAT = re.compile(r"([1-9][0-9]{0,8}) ([1-9][0-9]{0,8})", re.ASCII)

# A booking's seat as the wire has it.
SEAT = (cast(Booking.seat_row, String) + " " + cast(Booking.seat_column, String)).label("seat")

_TAKEN = (
    select(Booking.seat_row, Booking.seat_column)
    .where(Booking.schedule_id == bindparam("schedule_id"), ACTIVE)
    .order_by(Booking.seat_row, Booking.seat_column)
)

_ACTIVE_BY_SCHEDULE = (
    select(
        Booking.schedule_id,
        func.count().label("count"),
        func.max(Booking.seat_row).label("max_row"),
        func.max(Booking.seat_column).label("max_col"),
    )
    .where(Booking.schedule_id == any_(bindparam("schedule_ids", type_=ARRAY(BigInteger))), ACTIVE)
    .group_by(Booking.schedule_id)
    .order_by(Booking.schedule_id)
)


class Seat(NamedTuple):
    """A seat of a venue; rows and columns count from 1. Written ``"<row> <column>"``."""

    row: int
    column: int

    def __str__(self) -> str:
        return f"{self.row} {self.column}"


def parse_seats(texts: Sequence[str]) -> list[Seat]:
    """The seats that ``texts`` name, in their order.

    Raises:
        InvalidSeat: one of them is not two positive numbers, without sign or leading zero, and one space between.
        SameSeatTwice: two of them are the same seat.
    """
    seats = []
    for text in texts:
        match = _SEAT.fullmatch(text)
        if match is None:
            raise InvalidSeat
        seats.append(Seat(int(match[1]), int(match[2])))
    if len(set(seats)) < len(seats):
        raise SameSeatTwice
    return seats


async def taken(database: Database, schedule_id: int) -> list[str]:
    """The taken seats of a schedule as ``"<row> <col>"``, front row first; none for a schedule nobody knows."""
    return [f"{row} {column}" for row, column in await database.rows(_TAKEN, schedule_id=schedule_id)]


async def active_bookings(database: Database, schedule_ids: Sequence[int]) -> list[ActiveBookingsView]:
    """What is booked in those of the schedules in which anything is."""
    return await database.views(ActiveBookingsView, _ACTIVE_BY_SCHEDULE, schedule_ids=schedule_ids)
