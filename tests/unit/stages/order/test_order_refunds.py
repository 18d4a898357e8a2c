"""A refund that is refused for good, and one that is only late: who asks can tell them apart."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from common.errors import ServiceUnavailable
from order.refunds import DUE, DueRefund, RefundRefused, refund_all
from order.resources import Resources
from order.workers import STUCK, count_stuck_refunds
from tests.payment_simulator.running import Simulator
from tests.unit.stages.order.in_service import InService

AMOUNT = 15_000

REQUESTED = text("""
    WITH payment AS (
        INSERT INTO payments (user_id, concert_id, schedule_id, total_price, status, payment_key, order_id)
        VALUES (1, 1, 1, :amount, 'COMPLETED', :payment_key, 'order') RETURNING id
    ), booking AS (
        INSERT INTO bookings (user_id, concert_id, schedule_id, payment_id, price, status, seat_row, seat_column)
        SELECT 1, 1, 1, id, :amount, 'CANCEL_REQUESTED', 1, 1 FROM payment RETURNING id, payment_id
    )
    INSERT INTO refunds (payment_id, booking_id, amount, idempotency_key)
    SELECT payment_id, id, :amount, 'refund-' || id FROM booking
""")


async def requested(resources: Resources, *payment_keys: str) -> list[DueRefund]:
    """Refunds of paid bookings, that nobody has asked the provider for yet."""
    await resources.database.rows(text("TRUNCATE payments CASCADE"))
    for payment_key in payment_keys:
        await resources.database.rows(REQUESTED, payment_key=payment_key, amount=AMOUNT)
    return [DueRefund.of(row) for row in await resources.database.rows(DUE)]


async def stuck(resources: Resources) -> Any:
    assert await count_stuck_refunds(resources) is False
    (sample,) = next(iter(STUCK.collect())).samples
    return sample.value


def test_a_refused_refund_says_why_and_stops_no_other(simulator: Simulator, in_service: InService) -> None:
    by_hand, other = simulator.paid(AMOUNT), simulator.paid(AMOUNT)
    assert simulator.cancel(by_hand).status_code == 200

    async def test(resources: Resources) -> None:
        refunds = await requested(resources, by_hand, other)
        with pytest.raises(RefundRefused) as refusal:
            await refund_all(resources, refunds)
        assert refusal.value.reason == "ALREADY_CANCELED_PAYMENT"
        assert refusal.value.code == ServiceUnavailable.code
        refunds_now = await resources.database.rows(text("SELECT status FROM refunds ORDER BY id"))
        assert [refund.status for refund in refunds_now] == ["REQUESTED", "DONE"]
        assert await stuck(resources) == 1

    in_service(test)


def test_a_late_refund_is_not_refused(simulator: Simulator, in_service: InService) -> None:
    payment_key = simulator.paid(AMOUNT)

    async def test(resources: Resources) -> None:
        refunds = await requested(resources, payment_key)
        assert await stuck(resources) == 0
        simulator.switch(cancelDown=True)
        try:
            with pytest.raises(ServiceUnavailable) as late:
                await refund_all(resources, refunds)
        finally:
            simulator.switch()
        assert not isinstance(late.value, RefundRefused)
        assert await stuck(resources) == 1
        await refund_all(resources, refunds)
        assert await stuck(resources) == 0

    in_service(test)
