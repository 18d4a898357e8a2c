"""Cancelling a booking, or a payment with all of its bookings, while the client waits for the provider.

What is paid becomes CANCEL_REQUESTED first, and the refund's row is committed with it: from then on the cancellation
happens, whatever dies. Then the provider gives the money back, and the booking is CANCELED. If the provider does not
answer, the client gets 503; the worker goes on, and so does the client's next try.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Rows
from common.errors import (
    BookingNotCancellable,
    BookingNotFound,
    PaymentFailed,
    PaymentNotFound,
    PlatformError,
    ScheduleNotFound,
    ServiceUnavailable,
)
from common.identity import require_self_or_manager
from common.wire import JSONBytes
from order.confirmation import join
from order.idempotency import RequestKey, resumable
from order.models import Booking, BookingStatus, Payment, PaymentStatus, Refund, RefundStatus
from order.payments import lock, lock_bookings, void
from order.refunds import DUE, DueRefund, give_back, request_refund
from order.resources import Resources

_BOOKING = (
    select(Booking.user_id, Booking.schedule_id, Booking.status, Booking.payment_id, Payment.confirm_due_at)
    .join(Payment, Payment.id == Booking.payment_id, isouter=True)
    .where(Booking.id == bindparam("id"), ~Booking.is_deleted)
)
_PAYMENT = select(
    Payment.user_id, Payment.schedule_id, Payment.status, Payment.id.label("payment_id"), Payment.confirm_due_at
).where(Payment.id == bindparam("id"), ~Payment.is_deleted)

_REQUESTED = DUE.where(Refund.status == RefundStatus.REQUESTED).order_by(Refund.id)
_OF_BOOKING = _REQUESTED.where(Refund.booking_id == bindparam("id"))
_OF_PAYMENT = _REQUESTED.where(Refund.payment_id == bindparam("id"))


async def cancel_booking(resources: Resources, booking_id: int) -> None:
    """Cancels one booking, and refunds its price if it was paid.

    Raises:
        BookingNotFound: there is no such booking.
        NotAuthorized: who asks is neither its user nor a manager.
        BookingNotCancellable: the show is over, or it is CANCELED already.
        ServiceUnavailable: the refund has not been done yet, or it is not known yet whether the booking is paid.
    """
    booking = await _row(resources, _BOOKING, booking_id)
    if booking is None:
        raise BookingNotFound
    await _prepare(resources, booking)
    async with resources.database.transaction() as session:
        await _accept_booking(session, booking_id, booking.payment_id, resources.settings.provider_seconds)
    await _give_back(resources, _OF_BOOKING, booking_id)


async def cancel_payment(resources: Resources, payment_id: int, key: RequestKey | None) -> JSONBytes:
    """Cancels a payment and all of its bookings, and refunds what was paid. The answer's data is ``{}``.

    Raises:
        PaymentNotFound: there is no such payment.
        NotAuthorized: who asks is neither its user nor a manager.
        BookingNotCancellable: the show is over, or the payment is FAILED or CANCELED already.
        ServiceUnavailable: not all refunds have been done yet, or it is not known yet whether it is paid.
    """
    refusal: PlatformError | None = None
    try:
        payment = await _row(resources, _PAYMENT, payment_id)
        if payment is None:
            raise PaymentNotFound
        await _prepare(resources, payment)
    except PlatformError as error:
        # A repeated request gets its first answer, whatever is wrong with it by now.
        refusal = error

    async def intend(session: AsyncSession) -> None:
        if refusal is not None:
            raise refusal
        await _accept_payment(session, payment_id, resources.settings.provider_seconds)

    async def follow() -> None:
        await _give_back(resources, _OF_PAYMENT, payment_id)

    return await resumable(resources.database, key, intend, follow)


async def _row(resources: Resources, statement: Rows, row_id: int) -> Any:
    async with resources.database.reading() as connection:
        return (await connection.execute(statement, {"id": row_id})).one_or_none()


async def _prepare(resources: Resources, row: Any) -> None:
    """Refuses what cannot be cancelled by whom, and finds out whether it is paid, if that is not known."""
    require_self_or_manager(row.user_id)
    if row.status == BookingStatus.CANCELED:
        raise BookingNotCancellable
    if row.status != BookingStatus.CANCEL_REQUESTED and await _is_over(resources, row.schedule_id):
        raise BookingNotCancellable
    if row.confirm_due_at is not None:
        try:
            await join(resources, row.payment_id)
        except PaymentFailed:
            return


async def _is_over(resources: Resources, schedule_id: int) -> bool:
    try:
        return (await resources.schedules.detail(schedule_id)).is_over(datetime.now(UTC))
    except ScheduleNotFound:
        # Deleted within the second in which it could still be booked: the seat is worth nothing, the money is.
        return False


async def _accept_booking(session: AsyncSession, booking_id: int, payment_id: int | None, lease_seconds: float) -> None:
    payment = None if payment_id is None else await session.get_one(Payment, payment_id, with_for_update=True)
    booking = await session.get_one(Booking, booking_id, with_for_update=True)
    if booking.payment_id != payment_id:
        raise ServiceUnavailable("a payment was made for the booking meanwhile")
    await _accept(session, booking, payment, lease_seconds)
    if payment is not None:
        await session.flush()
        await void(session, [payment.id])


async def _accept_payment(session: AsyncSession, payment_id: int, lease_seconds: float) -> None:
    payment = await lock(session, payment_id)
    if payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELED):
        raise BookingNotCancellable
    for booking in await lock_bookings(session, payment_id):
        if booking.status != BookingStatus.CANCELED:
            await _accept(session, booking, payment, lease_seconds)
    await session.flush()
    await void(session, [payment_id])


async def _accept(session: AsyncSession, booking: Booking, payment: Payment | None, lease_seconds: float) -> None:
    """From here on the booking ends CANCELED, if the transaction is committed."""
    match booking.status, payment:
        case BookingStatus.CANCELED, _:
            raise BookingNotCancellable
        case BookingStatus.PENDING, Payment(confirm_due_at=datetime()):
            raise ServiceUnavailable("the booking's payment is being confirmed")
        case (BookingStatus.PENDING, _) | (_, None):
            booking.status = BookingStatus.CANCELED
        case BookingStatus.CONFIRMED, Payment():
            booking.status = BookingStatus.CANCEL_REQUESTED
            request_refund(session, booking, lease_seconds)


async def _give_back(resources: Resources, due: Rows, row_id: int) -> None:
    async with resources.database.reading() as connection:
        refunds = [DueRefund.of(row) for row in await connection.execute(due, {"id": row_id})]
    for refund in refunds:
        await give_back(resources, refund)
