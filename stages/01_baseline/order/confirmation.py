"""Taking the money: the intent is committed, then the provider is asked, then the outcome is committed.

``confirm_due_at`` is the intent. While it is set the provider may have the money without our knowing, so the bookings
neither expire nor can be given up, and whoever comes by finds out (``join``): a repetition of the request, a
cancellation, or the worker after a crash. The provider's idempotency keys make asking twice harmless.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Counter
from sqlalchemy import bindparam, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import NotAuthorized, PaymentFailed, ServiceUnavailable
from common.identity import require_user
from common.wire import JSONBytes
from order.backoff import next_attempt
from order.idempotency import RequestKey, resumable
from order.models import BookingStatus, Payment, PaymentStatus
from order.payments import lock, lock_bookings
from order.provider import InProgress, Provider, ProviderPayment, Refused
from order.refunds import request_refund
from order.resources import Resources
from order.schemas import CompletionRequest
from order.waiting import until_settled

logger = logging.getLogger(__name__)

SETTLED = Counter("order_payments_settled", "Payments that were confirmed or refused.", ["outcome"])

_STATE = select(
    Payment.id,
    Payment.status,
    Payment.payment_key,
    Payment.order_id,
    Payment.total_price,
    Payment.confirm_due_at,
    Payment.confirm_attempts,
).where(Payment.id == bindparam("payment_id"))


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment whose money may be on the way; the amount in won."""

    payment_id: int
    payment_key: str
    order_id: str
    amount: int
    attempts: int

    @classmethod
    def of(cls, payment: Any) -> Intent:
        """``payment`` is a Payment, or a row with its columns."""
        return cls(payment.id, payment.payment_key, payment.order_id, payment.total_price, payment.confirm_attempts)


async def complete(resources: Resources, request: CompletionRequest, key: RequestKey | None) -> JSONBytes:
    """Takes the money, and confirms the bookings. The answer's data is ``{}``.

    Raises:
        PaymentNotFound: there is no such payment.
        NotAuthorized: it is somebody else's.
        PaymentFailed: the amount is not the payment's, the provider refuses, or the payment has ended otherwise.
        ServiceUnavailable: the provider does not say; it will be asked until it does.
    """
    intent: Intent | None = None

    async def intend(session: AsyncSession) -> None:
        nonlocal intent
        intent = await _intend(session, request, resources.settings.provider_seconds)

    async def follow() -> None:
        if intent is None:
            await join(resources, request.own_payment_id)
        else:
            await settle(resources, intent, first=True)

    return await resumable(resources.database, key, intend, follow)


async def _intend(session: AsyncSession, request: CompletionRequest, lease_seconds: float) -> Intent | None:
    """Commits to asking the provider; None if somebody has, for this very checkout."""
    payment = await lock(session, request.own_payment_id)
    if payment.user_id != require_user().user_id:
        raise NotAuthorized
    if payment.status == PaymentStatus.COMPLETED or payment.confirm_due_at is not None:
        if (payment.payment_key, payment.order_id) != (request.payment_id, request.order_id):
            raise PaymentFailed("paid, or being paid, by another checkout")
        return None
    if payment.status != PaymentStatus.WAITING:
        raise PaymentFailed(f"the payment is {payment.status}")
    if request.amount != payment.total_price:
        raise PaymentFailed(f"{request.amount} won offered for {payment.total_price}")
    bookings = await lock_bookings(session, payment.id)
    if any(booking.status != BookingStatus.PENDING for booking in bookings):
        raise PaymentFailed("a booking has been given up")
    payment.payment_key = request.payment_id
    payment.order_id = request.order_id
    # The worker leaves it to this request for as long as the provider may take.
    payment.confirm_due_at = datetime.now(UTC) + timedelta(seconds=lease_seconds)
    for booking in bookings:
        booking.expires_at = None
    return Intent.of(payment)


async def join(resources: Resources, payment_id: int) -> None:
    """Comes to the outcome of a payment that somebody else has begun to confirm, whether or not they are still at it.

    Raises:
        PaymentFailed: it was not paid, or has been canceled since.
        ServiceUnavailable: the provider does not say.
    """
    async with resources.database.reading() as connection:
        payment = (await connection.execute(_STATE, {"payment_id": payment_id})).one()
    if payment.confirm_due_at is not None:
        await settle(resources, Intent.of(payment))
    elif payment.status != PaymentStatus.COMPLETED:
        raise PaymentFailed(f"the payment is {payment.status}")


async def settle(resources: Resources, intent: Intent, *, first: bool = False) -> None:
    """Finds out whether the money was taken, taking it if need be, and commits the outcome.

    Args:
        first: nobody can have asked the provider before, so that it need not be looked up there.

    Raises:
        PaymentFailed: it was not taken; the bookings are PENDING again until they expire.
        ServiceUnavailable: the provider does not say.
    """
    try:
        paid = await _take(resources.provider, intent, first)
    except Refused as refusal:
        await _fail(resources, intent, refusal.code)
        raise PaymentFailed(refusal.code) from refusal
    except InProgress:
        await until_settled(resources, _STATE, {"payment_id": intent.payment_id}, lambda row: not row.confirm_due_at)
        await join(resources, intent.payment_id)
    except ServiceUnavailable:
        await _postpone(resources, intent)
        raise
    else:
        await _finish(resources, intent, paid)


async def _take(provider: Provider, intent: Intent, first: bool) -> ProviderPayment:
    if not first:
        known = await provider.find_order(intent.order_id)
        if known is not None and known.payment_key == intent.payment_key:
            if known.is_paid:
                return known
            if known.is_dead:
                raise Refused(known.status)
    try:
        return await provider.confirm(intent.payment_key, intent.order_id, intent.amount)
    except Refused as refusal:
        if not first or refusal.code != "ALREADY_PROCESSED_PAYMENT":
            raise
    # By whom? If by us, its order says so.
    return await _take(provider, intent, first=False)


async def _finish(resources: Resources, intent: Intent, paid: ProviderPayment) -> None:
    async with resources.database.transaction() as session:
        payment = await lock(session, intent.payment_id)
        if payment.confirm_due_at is None:
            return
        payment.status = PaymentStatus.COMPLETED
        payment.card = paid.card.number if paid.card else None
        payment.confirm_due_at = None
        for booking in await lock_bookings(session, payment.id):
            if booking.status == BookingStatus.PENDING:
                booking.status = BookingStatus.CONFIRMED
            else:
                # It cannot be: a booking is not given up while its payment is confirmed. But no money is kept for it.
                logger.error("payment %d is paid, but its booking %d is %s", payment.id, booking.id, booking.status)
                request_refund(session, booking)
    SETTLED.labels("confirmed").inc()


async def _fail(resources: Resources, intent: Intent, code: str) -> None:
    async with resources.database.transaction() as session:
        payment = await lock(session, intent.payment_id)
        if payment.confirm_due_at is None:
            return
        payment.status = PaymentStatus.FAILED
        payment.problem = code[:100]
        payment.confirm_due_at = None
        hold = timedelta(seconds=resources.settings.hold_seconds)
        for booking in await lock_bookings(session, payment.id):
            booking.expires_at = booking.created_at + hold
    SETTLED.labels("refused").inc()


async def _postpone(resources: Resources, intent: Intent) -> None:
    later = (
        update(Payment)
        .where(Payment.id == intent.payment_id, Payment.confirm_due_at.is_not(None))
        .values(confirm_due_at=next_attempt(intent.attempts), confirm_attempts=intent.attempts + 1)
    )
    async with resources.database.reading() as connection:
        await connection.execute(later)
