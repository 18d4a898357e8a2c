"""Money that comes when its payment has been given up: it goes back, however little the database has time for."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from common.errors import ServiceUnavailable
from order.confirmation import Intent, _finish
from order.provider import ProviderPayment
from order.resources import Resources
from tests.unit.stages.order.in_service import InService

FAILED = text("""
    INSERT INTO payments (user_id, concert_id, schedule_id, total_price, status, payment_key, order_id)
    VALUES (1, 1, 1, 100, 'FAILED', 'late', 'late_order') RETURNING id
""")
RETURNED = text("SELECT amount FROM refunds WHERE payment_id = :payment_id")
A_WHILE = text("SELECT pg_sleep(0.6)")

ONE_CONNECTION = {"ORDER_DATABASE_POOL_SIZE": "1", "ORDER_DATABASE_POOL_WAIT_SECONDS": "0.3"}


def test_money_for_a_failed_payment_goes_back_though_others_want_the_connection(
    in_service: InService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in ONE_CONNECTION.items():
        monkeypatch.setenv(name, value)

    async def test(resources: Resources) -> None:
        database = resources.database
        (payment,) = await database.rows(FAILED)
        paid = ProviderPayment(payment_key="late", order_id="late_order", status="DONE", total_amount=100)
        finishing = asyncio.create_task(_finish(resources, Intent(payment.id, "late", "late_order", 100, 0), paid))
        await asyncio.sleep(0)
        others = [asyncio.create_task(database.rows(A_WHILE)) for _ in range(2)]
        assert await finishing is False
        (_, busy) = await asyncio.gather(*others, return_exceptions=True)
        assert isinstance(busy, ServiceUnavailable)
        assert [refund.amount for refund in await database.rows(RETURNED, payment_id=payment.id)] == [100]

    in_service(test)
