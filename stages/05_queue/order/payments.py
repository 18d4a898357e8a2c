"""Payments: made for pending bookings, read, and hidden. Taking the money is ``confirmation``'s."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Row, bindparam, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Database
from common.errors import (
    BookingNotCancellable,
    BookingNotFound,
    InvalidInput,
    NotAuthorized,
    PaymentNotFound,
    ScheduleNotFound,
)
from common.identity import require_self_or_manager, require_user
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


async def _create(request: PaymentRequest, session: AsyncSession) -> CreatedPaymentView:
    if request.user_id != require_user().user_id:
        raise NotAuthorized
    if len(set(request.booking_ids)) < len(request.booking_ids):
        raise InvalidInput.of("bookingIds", "a booking is named twice")
    bookings = await _lock_payable(session, request)
    payment = await _waiting_for_these(session, bookings)
    if payment is None:
        payment = Payment(
            user_id=request.user_id,
            concert_id=bookings[0].concert_id,
            schedule_id=bookings[0].schedule_id,
            total_price=sum(booking.price for booking in bookings),
            status=PaymentStatus.WAITING,
        )
        session.add(payment)
        await session.flush()
        for booking in bookings:
            booking.payment_id = payment.id
    return CreatedPaymentView(
        payment_id=payment.id,
        user_id=payment.user_id,
        concert_id=payment.concert_id,
        total_price=payment.total_price,
    )


async def _lock_payable(session: AsyncSession, request: PaymentRequest) -> Sequence[Booking]:
    wanted = select(Booking).where(Booking.id.in_(request.booking_ids), ~Booking.is_deleted).order_by(Booking.id)
    bookings = (await session.scalars(wanted.with_for_update())).all()
    if len(bookings) < len(request.booking_ids):
        raise BookingNotFound
    if any(booking.user_id != request.user_id for booking in bookings):
        raise NotAuthorized
    if any(booking.status != BookingStatus.PENDING for booking in bookings):
        raise InvalidInput.of("bookingIds", "a booking is not pending")
    if len({booking.schedule_id for booking in bookings}) > 1:
        raise InvalidInput.of("bookingIds", "bookings of different shows need a payment each")
    return bookings


async def _waiting_for_these(session: AsyncSession, bookings: Sequence[Booking]) -> Payment | None:
    """The payment that covers exactly these bookings already; None if none of them is covered by any."""
    earlier = {booking.payment_id for booking in bookings if booking.payment_id is not None}
    waiting = select(Payment).where(Payment.id.in_(earlier), Payment.status == PaymentStatus.WAITING)
    payments = (await session.scalars(waiting)).all() if earlier else []
    if not payments:
        return None
    covered = await session.scalars(select(Booking.id).where(Booking.payment_id == payments[0].id))
    if set(covered) != {booking.id for booking in bookings}:
        raise InvalidInput.of("bookingIds", "a booking is being paid for by another payment")
    return payments[0]


async def void(session: AsyncSession, payment_ids: Sequence[int]) -> None:
    """Ends those of the payments that wait for their buyer, but have lost a booking. They are locked already."""
    if payment_ids:
        await session.execute(_VOID, {"payment_ids": payment_ids})


async def one(resources: Resources, payment_id: int) -> PaymentDetailView:
    """A payment: what for, and by whom.

    Raises:
        PaymentNotFound: there is no such payment.
        NotAuthorized: who asks is neither its user nor a manager.
        ServiceUnavailable: concert-service or user-service does not answer.
    """
    async with resources.database.autocommit() as connection:
        found = (await connection.execute(_BY_ID, {"payment_id": payment_id})).mappings().one_or_none()
    if found is None:
        raise PaymentNotFound
    require_self_or_manager(found["user_id"])
    show, nickname = await asyncio.gather(
        _show(resources, found["schedule_id"]),
        resources.people.nickname(found["user_id"]),
    )
    return PaymentDetailView.model_validate({
        **found,
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


async def _delete(payment_id: int, session: AsyncSession) -> None:
    living = select(Payment).where(Payment.id == payment_id, ~Payment.is_deleted)
    payment: Payment | None = await session.scalar(living.with_for_update())
    if payment is None:
        raise PaymentNotFound
    if payment.status != PaymentStatus.CANCELED:
        raise BookingNotCancellable
    payment.soft_delete(datetime.now(UTC))


async def lock(session: AsyncSession, payment_id: int) -> Row[*tuple[Any, ...]]:
    """A payment's ``STATE``, kept from changing until the transaction ends.

    Rows are locked in one order everywhere (a payment, then its bookings by id), so that no two changes wait for each
    other.

    Raises:
        PaymentNotFound: there is no such payment.
    """
    payment = (await session.execute(_LOCK, {"payment_id": payment_id})).one_or_none()
    if payment is None:
        raise PaymentNotFound
    return payment


async def lock_bookings(session: AsyncSession, payment_id: int) -> Sequence[str]:
    """The status of each booking of a payment, kept from changing until the transaction ends."""
    return (await session.execute(_LOCK_BOOKINGS, {"payment_id": payment_id})).scalars().all()
