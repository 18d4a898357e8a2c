"""Bookings: seats that are held for who pays for them in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import InvalidInput, InvalidSeat, PlatformError, SeatAlreadyBooked
from common.identity import NotAuthorized, require_user
from common.wire import JSONBytes
from order.idempotency import RequestKey, once
from order.models import BookingStatus
from order.resources import Resources
from order.schedules import ScheduleDetail
from order.schemas import BookedView, BookingRequest
from order.seat_guard import guarded
from order.seats import Seat, parse_seats

BOOKED = Counter("order_bookings", "Bookings that were made: seats, not requests.")
TAKEN = Counter("order_seat_conflicts", "Requests for seats of which one was taken.")

# All seats or none: what is taken is looked up once, for all of them.
_BOOK = text("""
    INSERT INTO bookings (user_id, concert_id, schedule_id, price, status, expires_at, created_by, updated_by,
                          seat_row, seat_column)
    SELECT :user_id, :concert_id, :schedule_id, :price, 'PENDING', :expires_at, :user_id, :user_id,
           seat.number_of_row, seat.number_of_column
    FROM unnest(CAST(:rows AS integer[]), CAST(:columns AS integer[])) AS seat (number_of_row, number_of_column)
    WHERE NOT EXISTS (
        SELECT FROM bookings
        WHERE schedule_id = :schedule_id
          AND (seat_row, seat_column) IN (SELECT * FROM unnest(CAST(:rows AS integer[]), CAST(:columns AS integer[])))
          AND status <> 'CANCELED'
    )
    RETURNING id
""")


async def create(resources: Resources, request: BookingRequest, key: RequestKey | None) -> JSONBytes:
    """Books seats of one show, all of them or none; the answer's data is a list of BookedView.

    Raises:
        NotAuthorized: for somebody else.
        InvalidSeat, SameSeatTwice: as ``parse_seats``; or a seat lies outside of the venue.
        ScheduleNotFound: there is no such schedule.
        InvalidInput: the show is over, or the price is not the concert's.
        SeatAlreadyBooked: one of the seats is taken.
        ServiceUnavailable: the schedule cannot be looked up, or too many want seats at once.
    """
    if request.user_id != require_user().user_id:
        raise NotAuthorized
    seats = parse_seats(request.seat)
    refusal: PlatformError | None = None
    schedule: ScheduleDetail | None = None
    try:
        schedule = await resources.schedules.detail(request.schedule_id)
        check_order(request, seats, schedule, datetime.now(UTC))
    except PlatformError as error:
        refusal = error
