"""Giving money back: one refund for one booking, asked of the provider under one idempotency key until it is done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import Counter
from sqlalchemy import TextClause, bindparam, select, text

from common.errors import ServiceUnavailable
from common.identity import current_user_id
from common.statements import Row, Statements
from order.backoff import next_attempt
from order.models import Payment, Refund, RefundStatus
from order.provider import InProgress, Provider, ProviderPayment, Refused
from order.resources import Resources
from order.settling import until_settled

logger = logging.getLogger(__name__)

REFUNDED = Counter("order_refunds", "Refunds that the provider has done.")

# A payment of many bookings is given back in seconds, before its leases run out and a worker joins in.
REFUNDED_AT_ONCE = 10

_REQUEST = """
    WITH paid AS (
        UPDATE bookings SET status = 'CANCEL_REQUESTED', updated_at = now(), updated_by = :caller
        WHERE {which} AND status = 'CONFIRMED' AND payment_id IS NOT NULL
        RETURNING id, payment_id, price
    )
    INSERT INTO refunds (payment_id, booking_id, amount, idempotency_key, due_at, created_by, updated_by)
    SELECT payment_id, id, price, 'refund-' || id, now() + make_interval(secs => :lease_seconds), :caller, :caller
    FROM paid
    RETURNING id, payment_id, booking_id, amount, idempotency_key, attempts,
              (SELECT payment_key FROM payments WHERE payments.id = refunds.payment_id)
"""
# Cancel what is paid, and commit to giving it back, in one statement; what is not CONFIRMED is left as it is.
OF_BOOKING = text(_REQUEST.format(which="id = :id"))
OF_PAYMENT = text(_REQUEST.format(which="payment_id = :id"))

DUE = (
    select(
        Refund.id,
        Refund.payment_id,
        Refund.booking_id,
        Refund.amount,
        Refund.idempotency_key,
        Refund.attempts,
        Payment.payment_key,
    )
    .join(Payment, Payment.id == Refund.payment_id)
    .where(Refund.status == RefundStatus.REQUESTED)
    .order_by(Refund.id)
)

_STATUS = select(Refund.status).where(Refund.id == bindparam("refund_id"))

# Two bookings of one payment may end at once. Who holds the payment sees in the next statement whether the other has.
_LOCK_PAYMENT = text("SELECT FROM payments WHERE id = :payment_id FOR NO KEY UPDATE")
_DONE = text("""
    WITH refund AS (
        UPDATE refunds SET status = 'DONE', transaction_key = :transaction_key, problem = NULL, updated_at = now()
        WHERE id = :refund_id AND status = 'REQUESTED'
        RETURNING booking_id
    ), booking AS (
        UPDATE bookings SET status = 'CANCELED', updated_at = now() WHERE id = (SELECT booking_id FROM refund)
    ), payment AS (
        UPDATE payments SET status = 'CANCELED', updated_at = now()
        WHERE id = :payment_id AND status = 'COMPLETED' AND EXISTS (SELECT FROM refund) AND NOT EXISTS (
            SELECT FROM bookings
            WHERE payment_id = :payment_id AND status <> 'CANCELED' AND id <> (SELECT booking_id FROM refund)
        )
    )
    SELECT booking_id FROM refund
""")

_POSTPONE = text("""
    UPDATE refunds
    SET due_at = :due_at, attempts = :attempts, problem = :problem, updated_at = now(), updated_by = :caller
    WHERE id = :refund_id AND status = 'REQUESTED'
""")


class RefundRefused(ServiceUnavailable):
    """The provider refuses a refund for good: nothing that waiting mends, and a person has to look at it.

    Attributes:
        reason: Toss's error code.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"payment provider: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class DueRefund:
    """What is to be given back; the amount in won. Without a booking it is all of a payment."""

    refund_id: int
    payment_id: int
    booking_id: int | None
    amount: int
    key: str
    attempts: int
    payment_key: str

    @classmethod
    def of(cls, row: Row) -> DueRefund:
        """``row`` is one of ``DUE``, or has the same columns."""
        return cls(*row)


async def request_refunds(
    statements: Statements, which: TextClause, row_id: int, lease_seconds: float
) -> list[DueRefund]:
    """Cancels paid bookings: from here on they end CANCELED, and their price is given back.

    Args:
        which: ``OF_BOOKING`` or ``OF_PAYMENT``, whose id ``row_id`` is.
        lease_seconds: for how long the worker leaves the refunds to who requests them.
    """
    requested = await statements.rows(which, id=row_id, lease_seconds=lease_seconds, caller=current_user_id())
    return [DueRefund.of(row) for row in requested]


async def refund_all(resources: Resources, refunds: Sequence[DueRefund]) -> None:
    """Gives back what has been requested, a few at once.

    Raises:
        ServiceUnavailable: not all of it has been given back; the provider will be asked until it is.
    """
    turns = asyncio.Semaphore(REFUNDED_AT_ONCE)

    async def in_turn(due: DueRefund) -> None:
        async with turns:
            await give_back(resources, due)

    # None of them is stopped because another one failed.
    for failure in await asyncio.gather(*map(in_turn, refunds), return_exceptions=True):
        if failure is not None:
            raise failure


async def give_back(resources: Resources, refund: DueRefund) -> None:
    """Has the provider give the money back, and frees the seat.

    Raises:
        RefundRefused: the provider says no.
        ServiceUnavailable: the provider does not say that it has. In both cases it will be asked until it does.
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
        raise RefundRefused(refusal.code) from refusal
    else:
        await _finish(resources, refund, transaction_key)


async def _cancel_at(provider: Provider, refund: DueRefund) -> str:
    """The provider's key of the refund."""
    # The reason carries our key, so that the provider's records say which of our refunds each of theirs is.
    reason = f"예매 취소 ({refund.key})"
    try:
        payment = await provider.cancel(refund.payment_key, refund.amount, reason, key=refund.key)
    except Refused as refusal:
        done = _done_before(await provider.find_payment(refund.payment_key), reason)
        if done is None:
            raise refusal
        return done
    return _done_before(payment, reason) or ""


def _done_before(payment: ProviderPayment | None, reason: str) -> str | None:
    if payment is None:
        return None
    return next((cancel.transaction_key for cancel in payment.cancels or [] if cancel.cancel_reason == reason), None)


async def _finish(resources: Resources, refund: DueRefund, transaction_key: str) -> None:
    ids = {"refund_id": refund.refund_id, "payment_id": refund.payment_id}
    async with resources.database.transaction() as transaction:
        await transaction.rows(_LOCK_PAYMENT, payment_id=refund.payment_id)
        newly = await transaction.rows(_DONE, **ids, transaction_key=transaction_key)
    REFUNDED.inc(len(newly))


async def _postpone(resources: Resources, refund: DueRefund, problem: str) -> None:
    await resources.database.rows(
        _POSTPONE,
        refund_id=refund.refund_id,
        due_at=next_attempt(refund.attempts),
        attempts=refund.attempts + 1,
        problem=problem[:100],
        caller=current_user_id(),
    )
