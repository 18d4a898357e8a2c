"""Bookings: seats that are held for who pays for them in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Counter
from sqlalchemy import bindparam, select, text

from common.database import Database, violations_as
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
from common.identity import current_user_id, require_self_or_manager, require_user
from common.statements import Transaction
from common.wire import JSONBytes
from order.idempotency import RequestKey, Work, once, refuse
from order.models import ACTIVE_SEAT, Booking, BookingStatus
from order.resources import Resources
from order.schedules import ScheduleDetail
from order.schemas import BookedView, BookingDetailView, BookingRequest
from order.seats import SEAT, Seat, parse_seats

BOOKED = Counter("order_seats_booked", "Seats that were booked.")
TAKEN = Counter("order_seat_conflicts", "Requests that wanted a seat which was taken.")

# One statement looks and books. All of the seats are looked up before any is booked, so that all of them are booked or
# none. Each is looked up by itself (LATERAL with a LIMIT cannot be planned otherwise): asked for those that are in a
# list, PostgreSQL would rather read all of the show. They are booked in order: of two requests without a lock for the
# same seats, one then waits at the unique index for the other, and never each for the other.
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
        SELECT FROM wanted AS seat CROSS JOIN LATERAL (
            SELECT FROM bookings
            WHERE schedule_id = :schedule_id AND status <> 'CANCELED'
              AND seat_row = seat.seat_row AND seat_column = seat.seat_column
            LIMIT 1
        ) AS holder
    )
    ORDER BY seat_row, seat_column
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

# What is canceled stays so.
_DELETE = text("""
    UPDATE bookings
    SET is_deleted = true, deleted_at = now(), deleted_by = :caller, updated_at = now(), updated_by = :caller
    WHERE id = :booking_id AND status = 'CANCELED' AND NOT is_deleted
    RETURNING id
""")

_OF_THE_SHOW = ("concert_name", "runtime", "stage_name", "location", "concert_date", "concert_time")


async def create(resources: Resources, request: BookingRequest, key: RequestKey | None) -> JSONBytes:
    """Books seats of one show, all of them or none. The answer's data is a list of BookedView.

    Raises:
        NotAuthorized: for somebody else.
        InvalidSeat, SameSeatTwice: as ``parse_seats``; or a seat lies outside of the venue.
        ScheduleNotFound: there is no such schedule.
        InvalidInput: the show is over, or the price is not the concert's.
        SeatAlreadyBooked: one of the seats is taken.
        ServiceUnavailable: the schedule cannot be looked up, or others are at these seats for too long.
    """
    try:
        if request.user_id != require_user().user_id:
            raise NotAuthorized
        schedule, seats = await priced(resources, request)
    except PlatformError as error:
        return await refuse(resources.database, key, error)

    async def book(transaction: Transaction) -> list[BookedView]:
        return await _book(transaction, schedule, request.user_id, seats, resources.settings.hold_seconds)

    async def sell(_: Database, work: Work) -> Any:
        answer = await resources.seat_lock.guarded(schedule.id, seats, work)
        BOOKED.inc(len(seats))
        return answer

    try:
        return await once(resources.database, key, book, transact=sell)
    except SeatAlreadyBooked:
        TAKEN.inc()
        raise


async def priced(resources: Resources, request: BookingRequest) -> tuple[ScheduleDetail, list[Seat]]:
    """The show and the seats of a request that is all right, but for whether they are free."""
    seats = parse_seats(request.seat)
    schedule = await resources.schedules.detail(request.schedule_id)
    check(request, seats, schedule, datetime.now(UTC))
    return schedule, seats


def check(request: BookingRequest, seats: list[Seat], schedule: ScheduleDetail, now: datetime) -> None:
    """Holds a request against the show as it is now.

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
    transaction: Transaction, schedule: ScheduleDetail, user_id: int, seats: list[Seat], hold_seconds: float
) -> list[BookedView]:
    with violations_as({ACTIVE_SEAT: SeatAlreadyBooked}):
        booked = await transaction.rows(
            _BOOK,
            user_id=user_id,
            concert_id=schedule.concert_id,
            schedule_id=schedule.id,
            price=schedule.price,
            hold_seconds=hold_seconds,
            rows=[seat.row for seat in seats],
            columns=[seat.column for seat in seats],
        )
    ids = {Seat(row, column): booking_id for booking_id, row, column in booked}
    if not ids:
        raise SeatAlreadyBooked
    return views(schedule, user_id, seats, ids)


def views(schedule: ScheduleDetail, user_id: int, seats: Sequence[Seat], ids: Mapping[Seat, int]) -> list[BookedView]:
    """New bookings, in the order in which their seats were asked for."""
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
    if await database.row(_DELETE, booking_id=booking_id, caller=current_user_id()) is not None:
        return
    if await database.row(_BY_ID, booking_id=booking_id) is None:
        raise BookingNotFound
    raise BookingNotCancellable
