"""Giving money back: one refund for one booking, asked of the provider under one idempotency key until it is done."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from prometheus_client import Counter
from sqlalchemy import TextClause, bindparam, select, text

from common.context import current_request_id
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

_REQUEST = """
    WITH paid AS (
        UPDATE bookings SET status = 'CANCEL_REQUESTED', updated_at = now(), updated_by = :caller
        WHERE {which} AND status = 'CONFIRMED' AND payment_id IS NOT NULL
        RETURNING id, payment_id, price
    ), requested AS (
        INSERT INTO refunds (payment_id, booking_id, amount, idempotency_key, due_at, created_by, updated_by)
        SELECT payment_id, id, price, 'refund-' || id, '9999-12-31', :caller, :caller FROM paid
        RETURNING booking_id
    )
    INSERT INTO outbox (key, body, request_id)
    SELECT booking_id, json_build_object('bookingId', booking_id), :request_id FROM requested
"""
# Cancel what is paid, commit to giving it back, and say so, in one statement; what is not CONFIRMED is left as it is.
# The worker that sweeps for due refunds leaves these alone: they are the consumer's.
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

_DUE_OF_BOOKING = DUE.where(Refund.booking_id == bindparam("booking_id"))
_EXISTS = select(Refund.id).where(Refund.booking_id == bindparam("booking_id"))
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
    SET due_at = CASE due_at WHEN '9999-12-31' THEN due_at ELSE :due_at END, attempts = :attempts, problem = :problem,
        updated_at = now(), updated_by = :caller
    WHERE id = :refund_id AND status = 'REQUESTED'
""")


class NothingToRefund(Exception):
    """No cancellation of this booking was ever accepted."""


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


async def request_refunds(statements: Statements, which: TextClause, row_id: int) -> None:
    """Cancels paid bookings: from here on they end CANCELED, and their price is given back.

    Args:
        which: ``OF_BOOKING`` or ``OF_PAYMENT``, whose id ``row_id`` is.
    """
    await statements.rows(which, id=row_id, caller=current_user_id(), request_id=current_request_id())


async def refund_booking(resources: Resources, booking_id: int) -> None:
    """Gives back what the cancellation of a booking owes, unless it has been.

    Raises:
        NothingToRefund: it owes nothing.
        RefundRefused, ServiceUnavailable: as ``give_back``.
    """
    due = [DueRefund.of(row) for row in await resources.database.rows(_DUE_OF_BOOKING, booking_id=booking_id)]
    if not due and await resources.database.row(_EXISTS, booking_id=booking_id) is None:
        raise NothingToRefund(f"booking {booking_id}")
    for refund in due:
        await give_back(resources, refund)


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
