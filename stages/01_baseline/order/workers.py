"""What order-service does by itself, every second: unpaid bookings are given up, and doubts are settled.

Any number of instances may do it at once. What one of them works on is locked, or leased (its due time is moved into
the future), and the others pass over it. What a request is working on is leased, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from prometheus_client import Counter, Gauge
from sqlalchemy import TextClause, text

from common.database import DATABASE_ERRORS
from common.errors import PlatformError
from common.statements import Row
from order import idempotency
from order.confirmation import Intent, settle
from order.models import IdempotencyKey
from order.payments import void
from order.refunds import DueRefund, give_back
from order.resources import Resources

logger = logging.getLogger(__name__)

EXPIRED = Counter("order_bookings_expired", "Bookings that were given up, as nobody paid in time.")
RECONCILED = Counter(
    "order_reconciled", "Payments and refunds that a worker took up, as no request was.", ["what", "outcome"]
)
STUCK = Gauge("order_refunds_stuck", "Refunds that the provider has refused, or failed to do, so far.")

EXPIRED_AT_ONCE = 500
SETTLED_AT_ONCE = 20
TRIM_SECONDS = 60.0

_OVERDUE = text("""
    SELECT id, payment_id FROM bookings
    WHERE status = 'PENDING' AND expires_at <= now()
    ORDER BY expires_at LIMIT :at_once
""")
_LOCK_PAYMENTS = text("""
    SELECT id FROM payments WHERE id = ANY(CAST(:payment_ids AS bigint[])) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")
_GIVE_UP = text("""
    UPDATE bookings SET status = 'CANCELED', updated_at = now(), updated_by = NULL
    WHERE id IN (
        SELECT id FROM bookings
        WHERE id = ANY(CAST(:booking_ids AS bigint[])) AND status = 'PENDING' AND expires_at <= now()
          AND (payment_id IS NULL OR payment_id = ANY(CAST(:payment_ids AS bigint[])))
        ORDER BY id FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""")
_LEASE_PAYMENTS = text("""
    UPDATE payments SET confirm_due_at = now() + make_interval(secs => :lease_seconds)
    WHERE id IN (
        SELECT id FROM payments WHERE confirm_due_at <= now()
        ORDER BY confirm_due_at LIMIT :at_once FOR UPDATE SKIP LOCKED
    )
    RETURNING id, payment_key, order_id, total_price, confirm_attempts
""")
_LEASE_REFUNDS = text("""
    UPDATE refunds SET due_at = now() + make_interval(secs => :lease_seconds)
    FROM payments
    WHERE payments.id = refunds.payment_id AND refunds.id IN (
        SELECT id FROM refunds WHERE status = 'REQUESTED' AND due_at <= now()
        ORDER BY due_at LIMIT :at_once FOR UPDATE SKIP LOCKED
    )
    RETURNING refunds.id, refunds.payment_id, booking_id, amount, idempotency_key, attempts, payment_key
""")
_STUCK = text("SELECT count(*) FROM refunds WHERE status = 'REQUESTED' AND problem IS NOT NULL")

Round = Callable[[Resources], Awaitable[bool]]


@asynccontextmanager
async def working(resources: Resources) -> AsyncIterator[None]:
    """The workers run for as long as the block does."""
    period = resources.settings.sweep_seconds
    rounds: dict[Round, float] = {
        expire: period,
        settle_payments: period,
        settle_refunds: period,
        count_stuck_refunds: period,
        trim: TRIM_SECONDS,
    }
    tasks = [asyncio.create_task(_every(seconds, one_round, resources)) for one_round, seconds in rounds.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _every(seconds: float, one_round: Round, resources: Resources) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            while await one_round(resources):
                pass
        except Exception as problem:  # whatever keeps a worker from working now, it tries again
            logger.warning("%s: %s: %s", one_round.__name__, type(problem).__name__, problem)


async def expire(resources: Resources) -> bool:
    """Gives up bookings whose time is over; whether there may be more of them.

    Until then the seat is taken, and the booking can be paid for: a hold ends when this has run, not before.
    """
    overdue = await resources.database.rows(_OVERDUE, at_once=EXPIRED_AT_ONCE)
    if not overdue:
        return False
    covering = sorted({row.payment_id for row in overdue if row.payment_id is not None})
    async with resources.database.transaction() as transaction:
        # Payments before bookings, as everywhere; who has locked one of them is about to decide on its bookings.
        locked = [payment.id for payment in await transaction.rows(_LOCK_PAYMENTS, payment_ids=covering)]
        booking_ids = [booking.id for booking in overdue]
        expired = len(await transaction.rows(_GIVE_UP, booking_ids=booking_ids, payment_ids=locked))
        await void(transaction, locked)
    EXPIRED.inc(expired)
    return expired == EXPIRED_AT_ONCE


async def settle_payments(resources: Resources) -> bool:
    """Finds out about payments whose confirmation nobody has seen the end of; whether there may be more of them."""
    intents = [Intent.of(row) for row in await _lease(resources, _LEASE_PAYMENTS)]
    await asyncio.gather(*(_reconcile("payment", settle(resources, intent)) for intent in intents))
    return len(intents) == SETTLED_AT_ONCE


async def settle_refunds(resources: Resources) -> bool:
    """Asks for refunds again that have not been done; whether there may be more of them."""
    refunds = [DueRefund.of(row) for row in await _lease(resources, _LEASE_REFUNDS)]
    await asyncio.gather(*(_reconcile("refund", give_back(resources, refund)) for refund in refunds))
    return len(refunds) == SETTLED_AT_ONCE


async def count_stuck_refunds(resources: Resources) -> bool:
    """Shows the refunds that are in trouble to who watches the metrics; there are never more to come."""
    (stuck,) = await resources.database.rows(_STUCK)
    STUCK.set(stuck.count)
    return False


async def trim(resources: Resources) -> bool:
    """Forgets what has outlived its time; whether there may be more of it."""
    kept_seconds = {
        IdempotencyKey.created_at: idempotency.KEPT_SECONDS,
    }
    return any([await resources.database.trim(over, seconds) for over, seconds in kept_seconds.items()])


async def _lease(resources: Resources, statement: TextClause) -> Sequence[Row]:
    lease_seconds = resources.settings.provider_seconds
    return await resources.database.rows(statement, lease_seconds=lease_seconds, at_once=SETTLED_AT_ONCE)


async def _reconcile(what: str, work: Awaitable[None]) -> None:
    try:
        await work
    except (PlatformError, *DATABASE_ERRORS) as error:
        logger.info("%s: %s", what, error)
        RECONCILED.labels(what, type(error).__name__).inc()
    else:
        RECONCILED.labels(what, "done").inc()
