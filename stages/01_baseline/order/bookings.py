"""Bookings: seats that are held for who pays for them in time."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from prometheus_client import Counter
from sqlalchemy import bindparam, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Database
from common.errors import (
    BookingNotCancellable,
    BookingNotFound,
    InvalidInput,
    InvalidSeat,
    NotAuthorized,
    PlatformError,
    ScheduleNotFound,
    SeatAlreadyBooked,
)
from common.identity import require_self_or_manager, require_user
from common.wire import JSONBytes
from order.idempotency import RequestKey, once
from order.models import Booking, BookingStatus
from order.resources import Resources
from order.schedules import ScheduleDetail
from order.schemas import BookedView, BookingDetailView, BookingRequest
from order.seat_guard import guarded
from order.seats import SEAT, Seat, parse_seats

BOOKED = Counter("order_seats_booked", "Seats that were booked.")
TAKEN = Counter("order_seat_conflicts", "Requests that wanted a seat which was taken.")

# One statement looks and books: the shorter a serializable transaction, the fewer it is in conflict with. What is
# taken is looked up for all seats together, so that all of them are booked or none.
_BOOK = text("""
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:rows AS integer[]), CAST(:columns AS integer[])) AS seat (seat_row, seat_column)
    )
    INSERT INTO bookings
        (user_id, concert_id, schedule_id, price, status, expires_at, created_by, updated_by, seat_row, seat_column)
    SELECT :user_id, :concert_id, :schedule_id, :price, 'PENDING', now() + make_interval(secs => :hold_seconds),
           :user_id, :user_id, seat_row, seat_column
    FROM wanted
    WHERE NOT EXISTS (
        SELECT FROM bookings
        WHERE schedule_id = :schedule_id AND status <> 'CANCELED'
          AND (seat_row, seat_column) IN (SELECT seat_row, seat_column FROM wanted)
    )
    RETURNING id, seat_row, seat_column
""")

_BY_ID = select(
    Booking.user_id,
    Booking.price,
    Booking.status,
    SEAT,
    Booking.schedule_id,
    Booking.concert_id,
    Booking.payment_id,
).where(Booking.id == bindparam("booking_id"), ~Booking.is_deleted)


_OF_THE_SHOW = ("concert_name", "runtime", "stage_name", "location", "concert_date", "concert_time")


async def create(resources: Resources, request: BookingRequest, key: RequestKey | None) -> JSONBytes:
    """Books seats of one show, all of them or none. The answer's data is a list of BookedView.

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
    try:
        seats = parse_seats(request.seat)
        schedule = await resources.schedules.detail(request.schedule_id)
        check(request, seats, schedule, datetime.now(UTC))
    except PlatformError as refusal:
        # A repeated request gets its first answer, whatever is wrong with it by now.
        return await once(resources.database, key, partial(_refuse, refusal))
    booked: list[BookedView] = []

    async def book(session: AsyncSession) -> list[BookedView]:
        booked[:] = await _book(session, schedule, request.user_id, seats, resources.settings.hold_seconds)
        return booked

    answer = await once(resources.database, key, book, transact=guarded)
    BOOKED.inc(len(booked))
    return answer


def check(request: BookingRequest, seats: list[Seat], schedule: ScheduleDetail, now: datetime) -> None:
    """
    Raises:
        InvalidInput: the show is over, or the price is not the concert's.
        InvalidSeat: a seat lies outside of the venue.
    """
    if schedule.is_over(now):
        raise InvalidInput.of("scheduleId", "the show is over")
    if request.price != schedule.price:
        raise InvalidInput.of("price", f"one seat costs {schedule.price}")
    if any(seat.row > schedule.row or seat.column > schedule.col for seat in seats):
        raise InvalidSeat


async def _book(
    session: AsyncSession, schedule: ScheduleDetail, user_id: int, seats: list[Seat], hold_seconds: float
) -> list[BookedView]:
    values = {
        "user_id": user_id,
        "concert_id": schedule.concert_id,
        "schedule_id": schedule.id,
        "price": schedule.price,
        "hold_seconds": hold_seconds,
        "rows": [seat.row for seat in seats],
        "columns": [seat.column for seat in seats],
    }
    ids = {Seat(row, column): booking_id for booking_id, row, column in await session.execute(_BOOK, values)}
    if not ids:
        TAKEN.inc()
        raise SeatAlreadyBooked
    return [
        BookedView(
            id=ids[seat],
            concert_id=schedule.concert_id,
            schedule_id=schedule.id,
            user_id=user_id,
            price=schedule.price,
            status=BookingStatus.PENDING,
            seat=str(seat),
        )
        for seat in seats
    ]


async def _refuse(refusal: PlatformError, _: AsyncSession) -> None:
    raise refusal


async def one(resources: Resources, booking_id: int) -> BookingDetailView:
    """A booking with its show.

    Raises:
        BookingNotFound: there is no such booking.
        NotAuthorized: who asks is neither its user nor a manager.
        ServiceUnavailable: concert-service does not answer.
    """
    found = await resources.database.views(BookingDetailView, _BY_ID, booking_id=booking_id)
    if not found:
        raise BookingNotFound
    booking = found[0]
    require_self_or_manager(booking.user_id)
    try:
        show = await resources.schedules.detail(booking.schedule_id)
    except ScheduleNotFound:
        return booking
    return booking.model_copy(update={field: getattr(show, field) for field in _OF_THE_SHOW})


async def delete(database: Database, booking_id: int) -> None:
    """Hides a booking that has been canceled.

    Raises:
        BookingNotFound: there is no such booking.
        BookingNotCancellable: it is not canceled.
    """
    async with database.transaction() as session:
        booking: Booking | None = await session.scalar(
            select(Booking).where(Booking.id == booking_id, ~Booking.is_deleted).with_for_update()
        )
        if booking is None:
            raise BookingNotFound
        if booking.status != BookingStatus.CANCELED:
            raise BookingNotCancellable
        booking.soft_delete(datetime.now(UTC))
