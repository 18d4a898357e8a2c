"""Payments: made for pending bookings, read, and hidden. Taking the money is ``confirmation``'s."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by

from common.database import Database
from common.errors import (
    BookingNotCancellable,
    BookingNotFound,
    InvalidInput,
    NotAuthorized,
    PaymentNotFound,
    ScheduleNotFound,
)
from common.identity import current_user_id, require_self_or_manager, require_user
from common.statements import Row, Transaction
from common.wire import JSONBytes
from order.idempotency import RequestKey, once
from order.models import Booking, BookingStatus, Payment, PaymentStatus
from order.resources import Resources
from order.schedules import ScheduleDetail
from order.schemas import CreatedPaymentView, PaymentDetailView, PaymentRequest
from order.seats import SEAT

_SEATS = (
    select(func.string_agg(SEAT, aggregate_order_by(text("', '"), Booking.seat_row, Booking.seat_column)))
    .where(Booking.payment_id == Payment.id, ~Booking.is_deleted)
    .scalar_subquery()
)

_BY_ID = select(
    Payment.id,
    Payment.concert_id,
    Payment.schedule_id,
    Payment.user_id,
    Payment.total_price,
    func.coalesce(_SEATS, "").label("seat"),
    Payment.created_at,
).where(Payment.id == bindparam("payment_id"), ~Payment.is_deleted)

STATE = select(
    Payment.id,
    Payment.user_id,
    Payment.status,
    Payment.total_price,
    Payment.payment_key,
    Payment.order_id,
    Payment.confirm_due_at,
    Payment.confirm_attempts,
).where(Payment.id == bindparam("payment_id"))

# "No key": the foreign keys that point at a payment are no reason to wait for it. Who holds a booking and inserts its
# refund would do so, and who holds the payment may be waiting for the booking.
_LOCK = STATE.where(~Payment.is_deleted).with_for_update(key_share=True)

_LOCK_BY_IDS = (
    select(
        Booking.id,
        Booking.user_id,
        Booking.concert_id,
        Booking.schedule_id,
        Booking.payment_id,
        Booking.price,
        Booking.status,
    )
    .where(Booking.id == any_(bindparam("booking_ids", type_=ARRAY(BigInteger))), ~Booking.is_deleted)
    .order_by(Booking.id)
    .with_for_update()
)
# Bookings that are covered by those of the payments that wait for their buyer.
_WAITING = (
    select(Booking.id, Booking.payment_id)
    .join(Payment, Payment.id == Booking.payment_id)
    .where(
        Payment.id == any_(bindparam("payment_ids", type_=ARRAY(BigInteger))), Payment.status == PaymentStatus.WAITING
    )
)
_CREATE = text("""
    WITH made AS (
        INSERT INTO payments (user_id, concert_id, schedule_id, total_price, status, created_by, updated_by)
        VALUES (:user_id, :concert_id, :schedule_id, :total_price, 'WAITING', :user_id, :user_id)
        RETURNING id
    ), covered AS (
        UPDATE bookings SET payment_id = (SELECT id FROM made), updated_at = now(), updated_by = :user_id
        WHERE id = ANY(CAST(:booking_ids AS bigint[]))
    )
    SELECT id FROM made
""")
_DELETE = text("""
    UPDATE payments
    SET is_deleted = true, deleted_at = now(), deleted_by = :caller, updated_at = now(), updated_by = :caller
    WHERE id = :payment_id
""")

_LOCK_BOOKINGS = text("SELECT status FROM bookings WHERE payment_id = :payment_id ORDER BY id FOR UPDATE")

# What a payment comes to that has lost a booking before anybody paid: CANCELED with its last booking, else FAILED, so
# that the others can be paid for by a new one.
_VOID = text("""
    UPDATE payments
    SET status = CASE WHEN EXISTS (SELECT FROM bookings WHERE payment_id = payments.id AND status <> 'CANCELED')
                      THEN 'FAILED' ELSE 'CANCELED' END,
        updated_at = now()
    WHERE id = ANY(CAST(:payment_ids AS bigint[])) AND status = 'WAITING' AND confirm_due_at IS NULL
      AND EXISTS (SELECT FROM bookings WHERE payment_id = payments.id AND status = 'CANCELED')
""")


async def create(resources: Resources, request: PaymentRequest, key: RequestKey | None) -> JSONBytes:
    """Makes a payment for bookings of one show. The answer's data is a CreatedPaymentView.

    Asked again for the same bookings, it is the same payment.

    Raises:
        NotAuthorized: for somebody else, or a booking is somebody else's.
        BookingNotFound: there is no such booking.
        InvalidInput: a booking is named twice, is not PENDING, is of another show than the others, or belongs to
            another payment that waits for its buyer.
    """
    return await once(resources.database, key, partial(_create, request))


async def _create(request: PaymentRequest, transaction: Transaction) -> CreatedPaymentView:
    if request.user_id != require_user().user_id:
        raise NotAuthorized
    if len(set(request.booking_ids)) < len(request.booking_ids):
        raise InvalidInput.of("bookingIds", "a booking is named twice")
    bookings = await _lock_payable(transaction, request)
    concert_id, schedule_id = bookings[0].concert_id, bookings[0].schedule_id
    total_price = sum(booking.price for booking in bookings)
    payment_id = await _waiting_for_these(transaction, bookings)
    if payment_id is None:
        (made,) = await transaction.rows(
            _CREATE,
            user_id=request.user_id,
            concert_id=concert_id,
            schedule_id=schedule_id,
            total_price=total_price,
            booking_ids=request.booking_ids,
        )
        payment_id = made.id
    return CreatedPaymentView(
        payment_id=payment_id, user_id=request.user_id, concert_id=concert_id, total_price=total_price
    )


async def _lock_payable(transaction: Transaction, request: PaymentRequest) -> Sequence[Row]:
    bookings = await transaction.rows(_LOCK_BY_IDS, booking_ids=request.booking_ids)
    if len(bookings) < len(request.booking_ids):
        raise BookingNotFound
    if any(booking.user_id != request.user_id for booking in bookings):
        raise NotAuthorized
    if any(booking.status != BookingStatus.PENDING for booking in bookings):
        raise InvalidInput.of("bookingIds", "a booking is not pending")
    if len({booking.schedule_id for booking in bookings}) > 1:
        raise InvalidInput.of("bookingIds", "bookings of different shows need a payment each")
    return bookings


async def _waiting_for_these(transaction: Transaction, bookings: Sequence[Row]) -> int | None:
    """The payment that covers exactly these bookings already; None if none of them is covered by any."""
    earlier = {booking.payment_id for booking in bookings if booking.payment_id is not None}
    covered = await transaction.rows(_WAITING, payment_ids=list(earlier)) if earlier else []
    if not covered:
        return None
    payment_id: int = covered[0].payment_id
    if {booking.id for booking in covered if booking.payment_id == payment_id} != {booking.id for booking in bookings}:
        raise InvalidInput.of("bookingIds", "a booking is being paid for by another payment")
    return payment_id


async def void(transaction: Transaction, payment_ids: Sequence[int]) -> None:
    """Ends those of the payments that wait for their buyer, but have lost a booking. They are locked already."""
    if payment_ids:
        await transaction.rows(_VOID, payment_ids=payment_ids)


async def one(resources: Resources, payment_id: int) -> PaymentDetailView:
    """A payment: what for, and by whom.

    Raises:
        PaymentNotFound: there is no such payment.
        NotAuthorized: who asks is neither its user nor a manager.
        ServiceUnavailable: concert-service or user-service does not answer.
    """
    found = await resources.database.row(_BY_ID, payment_id=payment_id)
    if found is None:
        raise PaymentNotFound
    require_self_or_manager(found.user_id)
    show, nickname = await asyncio.gather(
        _show(resources, found.schedule_id),
        resources.people.nickname(found.user_id),
    )
    return PaymentDetailView.model_validate({
        **dict(found),
        "concert_name": show and show.concert_name,
        "runtime": show and show.runtime,
        "nickname": nickname,
    })  # fmt: skip


async def _show(resources: Resources, schedule_id: int) -> ScheduleDetail | None:
    try:
        return await resources.schedules.detail(schedule_id)
    except ScheduleNotFound:
        return None


async def delete(database: Database, payment_id: int, key: RequestKey | None) -> JSONBytes:
    """Hides a payment that has been canceled. The answer's data is ``{}``.

    Raises:
        PaymentNotFound: there is no such payment.
        BookingNotCancellable: it is not canceled.
    """
    return await once(database, key, partial(_delete, payment_id))


async def _delete(payment_id: int, transaction: Transaction) -> None:
    payment = await lock(transaction, payment_id)
    if payment.status != PaymentStatus.CANCELED:
        raise BookingNotCancellable
    await transaction.rows(_DELETE, payment_id=payment_id, caller=current_user_id())


async def lock(transaction: Transaction, payment_id: int) -> Row:
    """A payment's ``STATE``, kept from changing until the transaction ends.

    Rows are locked in one order everywhere (a payment, then its bookings by id), so that no two changes wait for each
    other.

    Raises:
        PaymentNotFound: there is no such payment.
    """
    payment = await transaction.row(_LOCK, payment_id=payment_id)
    if payment is None:
        raise PaymentNotFound
    return payment


async def lock_bookings(transaction: Transaction, payment_id: int) -> Sequence[str]:
    """The status of each booking of a payment, kept from changing until the transaction ends."""
    return [booking.status for booking in await transaction.rows(_LOCK_BOOKINGS, payment_id=payment_id)]
