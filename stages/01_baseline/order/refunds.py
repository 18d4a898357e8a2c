"""Giving money back: one refund for one booking, asked of the provider under one idempotency key until it is done."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Counter
from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import ServiceUnavailable
from order.backoff import next_attempt
from order.models import Booking, BookingStatus, Payment, PaymentStatus, Refund, RefundStatus
from order.provider import InProgress, Provider, ProviderPayment, Refused
from order.resources import Resources
from order.waiting import until_settled

logger = logging.getLogger(__name__)

REFUNDED = Counter("order_refunds", "Refunds that the provider has done.")

DUE = select(
    Refund.id,
    Refund.payment_id,
    Refund.booking_id,
    Refund.amount,
    Refund.idempotency_key,
    Refund.attempts,
    Payment.payment_key,
).join(Payment, Payment.id == Refund.payment_id)

_STATUS = select(Refund.status).where(Refund.id == bindparam("refund_id"))


@dataclass(frozen=True, slots=True)
class DueRefund:
    """What is to be given back; the amount in won."""

    refund_id: int
    payment_id: int
    booking_id: int
    amount: int
    key: str
    attempts: int
    payment_key: str

    @classmethod
    def of(cls, row: Any) -> DueRefund:
        """``row`` is one of ``DUE``."""
        return cls(*row)


def request_refund(session: AsyncSession, booking: Booking, lease_seconds: float = 0.0) -> None:
    """Commits, with the transaction, to giving back what a booking cost.

    Args:
        lease_seconds: for how long the worker leaves it to who requests it.
    """
    session.add(
        Refund(
            payment_id=booking.payment_id,
            booking_id=booking.id,
            amount=booking.price,
            idempotency_key=f"refund-{booking.id}",
            due_at=datetime.now(UTC) + timedelta(seconds=lease_seconds),
        )
    )


async def give_back(resources: Resources, refund: DueRefund) -> None:
    """Has the provider give the money back, and frees the seat.

    Raises:
        ServiceUnavailable: the provider does not say that it has; it will be asked until it does.
    """
    try:
        transaction_key = await _cancel_at(resources.provider, refund)
    except InProgress:
        done = {"refund_id": refund.refund_id}
        await until_settled(resources, _STATUS, done, lambda row: row.status == RefundStatus.DONE)
    except ServiceUnavailable as problem:
        await _postpone(resources, refund, str(problem))
        raise
    except Refused as refusal:
        # Nothing that waiting mends, but nothing to give up either: the booking stays CANCEL_REQUESTED, in sight.
        logger.error("refund %s of %d won is refused: %s", refund.key, refund.amount, refusal.code)
        await _postpone(resources, refund, refusal.code)
        raise ServiceUnavailable(f"payment provider: {refusal.code}") from refusal
    else:
        await _finish(resources, refund, transaction_key)


async def _cancel_at(provider: Provider, refund: DueRefund) -> str:
    """The provider's key of the refund."""
    # The reason carries our key, so that the provider's records say which of our refunds each of theirs is.
    reason = f"예매 취소 ({refund.key})"
    try:
        payment = await provider.cancel(refund.payment_key, refund.amount, reason, key=refund.key)
    except Refused as refusal:
        known = await provider.find_payment(refund.payment_key)
        done = _done_before(known, reason)
        if done is None:
            raise refusal
        return done
    return _done_before(payment, reason) or ""


def _done_before(payment: ProviderPayment | None, reason: str) -> str | None:
    if payment is None:
        return None
    return next((cancel.transaction_key for cancel in payment.cancels or [] if cancel.cancel_reason == reason), None)


async def _finish(resources: Resources, refund: DueRefund, transaction_key: str) -> None:
    async with resources.database.transaction() as session:
        # Two bookings of one payment may end at once: each must see whether the other has.
        await session.execute(select(Payment.id).where(Payment.id == refund.payment_id).with_for_update())
        done = await session.execute(
            update(Refund)
            .where(Refund.id == refund.refund_id, Refund.status == RefundStatus.REQUESTED)
            .values(status=RefundStatus.DONE, transaction_key=transaction_key, problem=None)
            .returning(Refund.id)
        )
        newly = len(done.all())
        await session.execute(
            update(Booking).where(Booking.id == refund.booking_id).values(status=BookingStatus.CANCELED)
        )
        active = exists().where(Booking.payment_id == refund.payment_id, Booking.status != BookingStatus.CANCELED)
        await session.execute(
            update(Payment)
            .where(Payment.id == refund.payment_id, Payment.status == PaymentStatus.COMPLETED, ~active)
            .values(status=PaymentStatus.CANCELED)
        )
    REFUNDED.inc(newly)


async def _postpone(resources: Resources, refund: DueRefund, problem: str) -> None:
    later = (
        update(Refund)
        .where(Refund.id == refund.refund_id, Refund.status == RefundStatus.REQUESTED)
        .values(due_at=next_attempt(refund.attempts), attempts=refund.attempts + 1, problem=problem[:100])
    )
    async with resources.database.reading() as connection:
        await connection.execute(later)
