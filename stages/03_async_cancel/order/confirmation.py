"""Taking the money: the intent is committed, then the provider is asked, then the outcome is committed.

``confirm_due_at`` is the intent. While it is set the provider may have the money without our knowing, so the bookings
neither expire nor can be given up, and whoever comes by finds out (``join``): a repetition of the request, a
cancellation, or the worker after a crash. The provider's idempotency keys make asking twice harmless.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from prometheus_client import Counter
from sqlalchemy import text

from common.database import violations_as
from common.errors import NotAuthorized, PaymentFailed, ServiceUnavailable
from common.identity import require_user
from common.statements import Row, Transaction
from common.wire import JSONBytes
from order.backoff import next_attempt
from order.idempotency import RequestKey, resumable
from order.models import BookingStatus, PaymentStatus
from order.payments import STATE, lock, lock_bookings
from order.provider import InProgress, Provider, ProviderPayment, Refused
from order.resources import Resources
from order.schemas import CompletionRequest
from order.settling import until_settled

logger = logging.getLogger(__name__)

SETTLED = Counter("order_payments_settled", "Payments that were confirmed or refused.", ["outcome"])

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
# Its bookings may be another payment's by now: what is given back is the whole, and none of them.
_RETURN = text("""
    INSERT INTO refunds (payment_id, amount, idempotency_key)
    SELECT id, total_price, 'refund-payment-' || id FROM payments WHERE id = :payment_id AND status = 'FAILED'
    ON CONFLICT (idempotency_key) DO NOTHING
    RETURNING amount
""")
_FAIL = text("""
    WITH failed AS (
        UPDATE payments SET status = 'FAILED', problem = :problem, confirm_due_at = NULL, updated_at = now()
        WHERE id = :payment_id AND confirm_due_at IS NOT NULL
        RETURNING id
    ), held_again AS (
        UPDATE bookings SET expires_at = created_at + make_interval(secs => :hold_seconds), updated_at = now()
        WHERE payment_id = (SELECT id FROM failed) AND status = 'PENDING'
    )
    SELECT id FROM failed
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
    def of(cls, payment: Row) -> Intent:
        """``payment`` is a row with these columns of a Payment."""
        return cls(payment.id, payment.payment_key, payment.order_id, payment.total_price, payment.confirm_attempts)

    def is_paid_by(self, payment: ProviderPayment) -> bool:
        """Whether the provider's ``payment`` is this one, to the won, and has been paid."""
        asked = (self.payment_key, self.order_id, self.amount)
        return payment.is_paid and (payment.payment_key, payment.order_id, payment.total_amount) == asked


async def complete(resources: Resources, request: CompletionRequest, key: RequestKey | None) -> JSONBytes:
    """Takes the money, and confirms the bookings. The answer's data is ``{}``.

    Raises:
        PaymentNotFound: there is no such payment.
        NotAuthorized: it is somebody else's.
        PaymentFailed: the amount is not the payment's, the payment key pays for another one, the provider refuses,
            or the payment has ended otherwise.
        ServiceUnavailable: the provider does not say; it will be asked until it does.
    """
    intent: Intent | None = None

    async def intend(transaction: Transaction) -> None:
        nonlocal intent
        intent = await _intend(transaction, request, resources.settings.provider_seconds)

    async def follow() -> None:
        if intent is None:
            await join(resources, request.own_payment_id)
        else:
            await settle(resources, intent, first=True)

    return await resumable(resources.database, key, intend, follow)


async def _intend(transaction: Transaction, request: CompletionRequest, lease_seconds: float) -> Intent | None:
    """Commits to asking the provider; None if somebody has, for this very checkout."""
    payment = await lock(transaction, request.own_payment_id)
    caller = require_user().user_id
    if payment.user_id != caller:
        raise NotAuthorized
    if request.amount != payment.total_price:
        raise PaymentFailed(f"{request.amount} won offered for {payment.total_price}")
    if payment.status == PaymentStatus.COMPLETED or payment.confirm_due_at is not None:
        if (payment.payment_key, payment.order_id) != (request.payment_id, request.order_id):
            raise PaymentFailed("paid, or being paid, by another checkout")
        return None
    if payment.status != PaymentStatus.WAITING:
        raise PaymentFailed(f"the payment is {payment.status}")
    if any(status != BookingStatus.PENDING for status in await lock_bookings(transaction, payment.id)):
        raise PaymentFailed("a booking has been given up")
    with violations_as({"uq_payments_payment_key": PaymentFailed}):
        await transaction.rows(
            _INTEND,
            payment_id=payment.id,
            payment_key=request.payment_id,
            order_id=request.order_id,
            caller=caller,
            # The worker leaves it to this request for as long as the provider may take.
            lease_seconds=lease_seconds,
        )
    return Intent(payment.id, request.payment_id, request.order_id, payment.total_price, payment.confirm_attempts)


async def join(resources: Resources, payment_id: int) -> None:
    """Comes to the outcome of a payment that somebody else has begun to confirm, whether or not they are still at it.

    Raises:
        PaymentFailed: it was not paid, or has been canceled since.
        ServiceUnavailable: the provider does not say.
    """
    (payment,) = await resources.database.rows(STATE, payment_id=payment_id)
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
        paid = await _take(resources.provider, intent, first=first)
    except Refused as refusal:
        if await _fail(resources, intent, refusal.code):
            raise PaymentFailed(refusal.code) from refusal
    except InProgress:
        await until_settled(resources, STATE, {"payment_id": intent.payment_id}, lambda row: not row.confirm_due_at)
    except ServiceUnavailable:
        await _postpone(resources, intent)
        raise
    else:
        if await _finish(resources, intent, paid):
            return
    # Somebody else has settled it, and what they came to counts.
    await join(resources, intent.payment_id)


async def _take(provider: Provider, intent: Intent, *, first: bool) -> ProviderPayment:
    """What the provider says of the payment once it is paid.

    Raises:
        Refused: it is not.
        ServiceUnavailable: nobody knows.
    """
    if not first and (known := await _paid_before(provider, intent)) is not None:
        return known
    # The payment's own key: under one that other payments use as well, their answer would pass for this one's.
    key = f"confirm-{intent.payment_id}-{intent.payment_key}"
    try:
        paid = await provider.confirm(intent.payment_key, intent.order_id, intent.amount, key=key)
    except Refused as refusal:
        # By whom? If by us, its order says so.
        known = await _paid_before(provider, intent) if refusal.code == "ALREADY_PROCESSED_PAYMENT" else None
        if known is None:
            raise
        return known
    if not intent.is_paid_by(paid):
        logger.error("asked to confirm payment %d, the provider answers with %s", intent.payment_id, paid)
        raise Refused("ANSWER_IS_OF_ANOTHER_PAYMENT")
    return paid


async def _paid_before(provider: Provider, intent: Intent) -> ProviderPayment | None:
    known = await provider.find_order(intent.order_id)
    return known if known is not None and intent.is_paid_by(known) else None


async def _finish(resources: Resources, intent: Intent, paid: ProviderPayment) -> bool:
    """Commits that the money was taken; False if the payment had been settled before.

    If it was taken for failed, the money goes back.
    """
    card = paid.card.number if paid.card else None
    async with resources.database.transaction() as transaction:
        (done,) = await transaction.rows(_CONFIRM, payment_id=intent.payment_id, card=card)
        # A statement of its own: it must see what the first one has waited for.
        returned = None if done.completed else await transaction.row(_RETURN, payment_id=intent.payment_id)
    SETTLED.labels("confirmed").inc(done.completed)
    if done.lost:
        logger.error("payment %d is paid, but %d bookings of it had been given up", intent.payment_id, done.lost)
    if returned:
        logger.error("payment %d is paid, but had failed before: %d won go back", intent.payment_id, returned.amount)
    return bool(done.completed)


async def _fail(resources: Resources, intent: Intent, code: str) -> bool:
    """Commits that no money was taken; False if the payment had been settled before."""
    hold_seconds = resources.settings.hold_seconds
    failed = await resources.database.rows(
        _FAIL, payment_id=intent.payment_id, problem=code[:100], hold_seconds=hold_seconds
    )
    SETTLED.labels("refused").inc(len(failed))
    return bool(failed)


async def _postpone(resources: Resources, intent: Intent) -> None:
    due_at, attempts = next_attempt(intent.attempts), intent.attempts + 1
    await resources.database.rows(_POSTPONE, payment_id=intent.payment_id, due_at=due_at, attempts=attempts)
