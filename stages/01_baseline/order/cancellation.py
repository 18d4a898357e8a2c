"""Cancelling a booking, or a payment with all of its bookings, while the client waits for the provider.

What is paid becomes CANCEL_REQUESTED first, and the refund's row is committed with it: from then on the cancellation
happens, whatever dies. Then the provider gives the money back, and the booking is CANCELED. If the provider does not
answer, the client gets 503; the worker goes on, and so does the client's next try.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import bindparam, select, text

from common.errors import (
    BookingNotCancellable,
    BookingNotFound,
    PaymentFailed,
    PaymentNotFound,
    PlatformError,
    ScheduleNotFound,
    ServiceUnavailable,
)
from common.identity import current_user_id, require_self_or_manager
from common.statements import Row, Rows, Transaction
from common.wire import JSONBytes
from order.confirmation import join
from order.idempotency import RequestKey, resumable
from order.models import Booking, BookingStatus, Payment, PaymentStatus, Refund
from order.payments import lock, lock_bookings, void
from order.refunds import DUE, OF_BOOKING, OF_PAYMENT, DueRefund, refund_all, request_refunds
from order.resources import Resources

T = TypeVar("T")

_BOOKING = (
    select(Booking.user_id, Booking.schedule_id, Booking.status, Booking.payment_id, Payment.confirm_due_at)
    .join(Payment, Payment.id == Booking.payment_id, isouter=True)
    .where(Booking.id == bindparam("id"), ~Booking.is_deleted)
)
_PAYMENT = select(
    Payment.user_id, Payment.schedule_id, Payment.status, Payment.id.label("payment_id"), Payment.confirm_due_at
).where(Payment.id == bindparam("id"), ~Payment.is_deleted)

_DUE_OF_BOOKING = DUE.where(Refund.booking_id == bindparam("id"))
_DUE_OF_PAYMENT = DUE.where(Refund.payment_id == bindparam("id"))

_RELEASE = """
    UPDATE bookings SET status = 'CANCELED', updated_at = now(), updated_by = :caller
    WHERE {which} AND (status = 'PENDING' OR (status = 'CONFIRMED' AND payment_id IS NULL))
    RETURNING id
"""
_RELEASE_ONE = text(_RELEASE.format(which="id = :id AND payment_id IS NOT DISTINCT FROM CAST(:payment_id AS bigint)"))
_RELEASE_ALL = text(_RELEASE.format(which="payment_id = :payment_id"))


class _Overtaken(ServiceUnavailable):
    """What was to be canceled has changed since it was looked at."""


async def cancel_booking(resources: Resources, booking_id: int) -> None:
    """Cancels one booking, and refunds its price if it was paid.

    Raises:
        BookingNotFound: there is no such booking.
        NotAuthorized: who asks is neither its user nor a manager.
        BookingNotCancellable: the show is over, or it is CANCELED already.
        ServiceUnavailable: the refund has not been done yet, or it is not known yet whether the booking is paid.
    """
    await _again_if_overtaken(lambda: _cancel_booking(resources, booking_id))


async def _cancel_booking(resources: Resources, booking_id: int) -> None:
    booking = await _cancellable(resources, _BOOKING, booking_id)
    if booking is None:
        raise BookingNotFound
    if booking.status == BookingStatus.PENDING or booking.payment_id is None:
        await _release(resources, booking_id, booking.payment_id)
        return
    refunds: list[DueRefund] = []
    if booking.status == BookingStatus.CONFIRMED:
        lease_seconds = resources.settings.provider_seconds
        refunds = await request_refunds(resources.database, OF_BOOKING, booking_id, lease_seconds)
    await refund_all(resources, refunds or await _due(resources, _DUE_OF_BOOKING, booking_id))


async def cancel_payment(resources: Resources, payment_id: int, key: RequestKey | None) -> JSONBytes:
    """Cancels a payment and all of its bookings, and refunds what was paid. The answer's data is ``{}``.

    Raises:
        PaymentNotFound: there is no such payment.
        NotAuthorized: who asks is neither its user nor a manager.
        BookingNotCancellable: the show is over, or the payment is FAILED or CANCELED already.
        ServiceUnavailable: not all refunds have been done yet, or it is not known yet whether it is paid.
    """
    return await _again_if_overtaken(lambda: _cancel_payment(resources, payment_id, key))


async def _cancel_payment(resources: Resources, payment_id: int, key: RequestKey | None) -> JSONBytes:
    refusal: PlatformError | None = None
    try:
        if await _cancellable(resources, _PAYMENT, payment_id) is None:
            raise PaymentNotFound
    except PlatformError as error:
        # A repeated request gets its first answer, whatever is wrong with it by now.
        refusal = error

    async def intend(transaction: Transaction) -> None:
        if refusal is not None:
            raise refusal
        await _accept(transaction, payment_id, resources.settings.provider_seconds)

    async def follow() -> None:
        await refund_all(resources, await _due(resources, _DUE_OF_PAYMENT, payment_id))

    return await resumable(resources.database, key, intend, follow)


async def _again_if_overtaken(cancel: Callable[[], Awaitable[T]]) -> T:
    """Looks once more at what has just been paid for, or given up, by somebody else."""
    try:
        return await cancel()
    except _Overtaken:
        return await cancel()


async def _cancellable(resources: Resources, statement: Rows, row_id: int) -> Row | None:
    """The booking or payment, once it is known whether it is paid; None if there is none.

    Raises:
        NotAuthorized, BookingNotCancellable, ServiceUnavailable: as ``cancel_booking``.
    """
    row = await resources.database.row(statement, id=row_id)
    if row is None:
        return None
    require_self_or_manager(row.user_id)
    if row.status == BookingStatus.CANCELED:
        raise BookingNotCancellable
    # What has been accepted once is not refused any more.
    if row.status != BookingStatus.CANCEL_REQUESTED and await _is_over(resources, row.schedule_id):
        raise BookingNotCancellable
    if row.confirm_due_at is None:
        return row
    with suppress(PaymentFailed):
        await join(resources, row.payment_id)
    return await resources.database.row(statement, id=row_id)


async def _is_over(resources: Resources, schedule_id: int) -> bool:
    try:
        return (await resources.schedules.detail(schedule_id)).is_over(datetime.now(UTC))
    except ScheduleNotFound:
        # Deleted within the second in which it could still be booked: the seat is worth nothing, the money is.
        return False


async def _release(resources: Resources, booking_id: int, payment_id: int | None) -> None:
    """Cancels a booking that is not paid."""
    async with resources.database.transaction() as transaction:
        if payment_id is not None and (await lock(transaction, payment_id)).confirm_due_at is not None:
            raise _Overtaken("the booking's payment is being confirmed")
        if not await transaction.rows(_RELEASE_ONE, id=booking_id, payment_id=payment_id, caller=current_user_id()):
            raise _Overtaken("the booking has changed")
        if payment_id is not None:
            await void(transaction, [payment_id])


async def _accept(transaction: Transaction, payment_id: int, lease_seconds: float) -> None:
    """From here on the payment and its bookings end CANCELED, if the transaction is committed."""
    payment = await lock(transaction, payment_id)
    if payment.status in (PaymentStatus.FAILED, PaymentStatus.CANCELED):
        raise BookingNotCancellable
    if payment.confirm_due_at is not None:
        raise _Overtaken("the payment is being confirmed")
    await lock_bookings(transaction, payment_id)
    if payment.status == PaymentStatus.COMPLETED:
        await request_refunds(transaction, OF_PAYMENT, payment_id, lease_seconds)
    else:
        await transaction.rows(_RELEASE_ALL, payment_id=payment_id, caller=current_user_id())
        await void(transaction, [payment_id])


async def _due(resources: Resources, statement: Rows, row_id: int) -> list[DueRefund]:
    return [DueRefund.of(row) for row in await resources.database.rows(statement, id=row_id)]
