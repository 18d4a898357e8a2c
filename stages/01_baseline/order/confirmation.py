"""Taking the money: the intent is committed, then the provider is asked, then the outcome is committed.

``confirm_due_at`` is the intent. While it is set the provider may have the money without our knowing, so the bookings
neither expire nor can be given up, and whoever comes by finds out (``join``): a repetition of the request, a
cancellation, or the worker after a crash. The provider's idempotency keys make asking twice harmless.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from prometheus_client import Counter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import NotAuthorized, PaymentFailed, ServiceUnavailable
from common.identity import require_user
from common.wire import JSONBytes
from order.backoff import next_attempt
from order.idempotency import RequestKey, resumable
from order.models import BookingStatus, PaymentStatus
from order.payments import STATE, lock
from order.provider import InProgress, Provider, ProviderPayment, Refused
from order.resources import Resources
from order.schemas import CompletionRequest
from order.waiting import until_settled

logger = logging.getLogger(__name__)

SETTLED = Counter("order_payments_settled", "Payments that were confirmed or refused.", ["outcome"])

_LOCK_BOOKINGS = text("SELECT status FROM bookings WHERE payment_id = :payment_id ORDER BY id FOR UPDATE")

# The bookings stop expiring with the same commit that makes the provider's answer matter.
_INTEND = text("""
    WITH kept AS (UPDATE bookings SET expires_at = NULL WHERE payment_id = :payment_id AND status = 'PENDING')
    UPDATE payments
    SET payment_key = :payment_key, order_id = :order_id, updated_at = now(), updated_by = :caller,
        confirm_due_at = now() + make_interval(secs => :lease_seconds)
    WHERE id = :payment_id
""")
# A booking of it that has been given up cannot be, but no money is kept for one.
_CONFIRM = text("""
    WITH completed AS (
        UPDATE payments SET status = 'COMPLETED', card = :card, confirm_due_at = NULL, updated_at = now()
        WHERE id = :payment_id AND confirm_due_at IS NOT NULL
        RETURNING id
    ), confirmed AS (
        UPDATE bookings SET status = 'CONFIRMED', updated_at = now()
        WHERE payment_id = (SELECT id FROM completed) AND status = 'PENDING'
    ), lost AS (
        INSERT INTO refunds (payment_id, booking_id, amount, idempotency_key)
        SELECT payment_id, id, price, 'refund-' || id FROM bookings
        WHERE payment_id = (SELECT id FROM completed) AND status = 'CANCELED'
        RETURNING booking_id
    )
    SELECT (SELECT count(*) FROM completed) AS completed, (SELECT count(*) FROM lost) AS lost
""")
_FAIL = text("""
    WITH failed AS (
        UPDATE payments SET status = 'FAILED', problem = :problem, confirm_due_at = NULL, updated_at = now()
        WHERE id = :payment_id AND confirm_due_at IS NOT NULL
        RETURNING id
    )
    UPDATE bookings SET expires_at = created_at + make_interval(secs => :hold_seconds), updated_at = now()
    WHERE payment_id = (SELECT id FROM failed) AND status = 'PENDING'
""")
_POSTPONE = text("""
    UPDATE payments SET confirm_due_at = :due_at, confirm_attempts = :attempts
    WHERE id = :payment_id AND confirm_due_at IS NOT NULL
""")


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
        """``payment`` is a row with these columns of a Payment."""
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
    caller = require_user().user_id
    if payment.user_id != caller:
        raise NotAuthorized
    if payment.status == PaymentStatus.COMPLETED or payment.confirm_due_at is not None:
        if (payment.payment_key, payment.order_id) != (request.payment_id, request.order_id):
            raise PaymentFailed("paid, or being paid, by another checkout")
        return None
    if payment.status != PaymentStatus.WAITING:
        raise PaymentFailed(f"the payment is {payment.status}")
    if request.amount != payment.total_price:
        raise PaymentFailed(f"{request.amount} won offered for {payment.total_price}")
    bookings = (await session.execute(_LOCK_BOOKINGS, {"payment_id": payment.id})).scalars().all()
    if any(status != BookingStatus.PENDING for status in bookings):
        raise PaymentFailed("a booking has been given up")
    values = {
        "payment_id": payment.id,
        "payment_key": request.payment_id,
        "order_id": request.order_id,
        "caller": caller,
        # The worker leaves it to this request for as long as the provider may take.
        "lease_seconds": lease_seconds,
    }
    await session.execute(_INTEND, values)
    return Intent(payment.id, request.payment_id, request.order_id, payment.total_price, payment.confirm_attempts)


async def join(resources: Resources, payment_id: int) -> None:
    """Comes to the outcome of a payment that somebody else has begun to confirm, whether or not they are still at it.

    Raises:
        PaymentFailed: it was not paid, or has been canceled since.
        ServiceUnavailable: the provider does not say.
    """
    async with resources.database.reading() as connection:
        payment = (await connection.execute(STATE, {"payment_id": payment_id})).one()
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
        await until_settled(resources, STATE, {"payment_id": intent.payment_id}, lambda row: not row.confirm_due_at)
        await join(resources, intent.payment_id)
    except ServiceUnavailable:
        await _postpone(resources, intent)
        raise
    else:
        await _finish(resources, intent, paid)


async def _take(provider: Provider, intent: Intent, first: bool) -> ProviderPayment:
    if not first:
        known = await provider.find_order(intent.order_id)
        if known is not None and known.payment_key == intent.payment_key and known.is_paid:
            return known
    try:
        return await provider.confirm(intent.payment_key, intent.order_id, intent.amount)
    except Refused as refusal:
        if not first or refusal.code != "ALREADY_PROCESSED_PAYMENT":
            raise
    # By whom? If by us, its order says so.
    return await _take(provider, intent, first=False)


async def _finish(resources: Resources, intent: Intent, paid: ProviderPayment) -> None:
    values = {"payment_id": intent.payment_id, "card": paid.card.number if paid.card else None}
    async with resources.database.reading() as connection:
        done = (await connection.execute(_CONFIRM, values)).one()
    SETTLED.labels("confirmed").inc(done.completed)
    if done.lost:
        logger.error("payment %d is paid, but %d bookings of it had been given up", intent.payment_id, done.lost)


async def _fail(resources: Resources, intent: Intent, code: str) -> None:
    values = {"payment_id": intent.payment_id, "problem": code[:100], "hold_seconds": resources.settings.hold_seconds}
    async with resources.database.reading() as connection:
        await connection.execute(_FAIL, values)
    SETTLED.labels("refused").inc()


async def _postpone(resources: Resources, intent: Intent) -> None:
    due_at, attempts = next_attempt(intent.attempts), intent.attempts + 1
    async with resources.database.reading() as connection:
        await connection.execute(_POSTPONE, {"payment_id": intent.payment_id, "due_at": due_at, "attempts": attempts})
