"""Whose payment the provider's answer is about, against the simulator: it repeats an answer whatever is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from order.confirmation import Intent, _take
from order.provider import Provider, ProviderPayment, Refused
from tests.payment_simulator.running import SECRET_KEY, Simulator, new_order

AMOUNT = 15_000


def take(simulator: Simulator, intent: Intent, *, first: bool) -> ProviderPayment:
    async def taken() -> ProviderPayment:
        provider = Provider(simulator.url, SECRET_KEY, timeout_seconds=10.0)
        await provider.open()
        try:
            return await _take(provider, intent, first=first)
        finally:
            await provider.close()

    return asyncio.run(taken())


@pytest.fixture
def intent(simulator: Simulator) -> Intent:
    """A payment that its buyer has agreed to."""
    order_id = new_order()
    return Intent(1, simulator.check_out(order_id, AMOUNT), order_id, AMOUNT, attempts=0)


@pytest.mark.parametrize("first", [True, False])
def test_the_answer_to_the_same_question_is_taken(first: bool, simulator: Simulator, intent: Intent) -> None:
    paid = take(simulator, intent, first=True)
    assert intent.is_paid_by(paid)
    assert take(simulator, intent, first=first) == paid


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("other", ["order", "amount", "payment"])
def test_money_that_was_taken_for_something_else_is_none(
    other: str, first: bool, simulator: Simulator, intent: Intent
) -> None:
    take(simulator, intent, first=True)
    another = {
        "order": replace(intent, order_id=new_order()),
        "amount": replace(intent, amount=10 * AMOUNT),
        "payment": replace(intent, payment_id=2, order_id=new_order(), amount=10 * AMOUNT),
    }[other]
    with pytest.raises(Refused):
        take(simulator, another, first=first)


def test_money_that_was_given_back_is_none(simulator: Simulator, intent: Intent) -> None:
    paid = take(simulator, intent, first=True)
    assert not intent.is_paid_by(paid.model_copy(update={"status": "CANCELED"}))


def test_a_payment_that_was_confirmed_under_another_key_is_found(simulator: Simulator, intent: Intent) -> None:
    """As after the provider's memory of its keys has ended: it refuses, and its record of the order says why."""
    take(simulator, replace(intent, payment_id=2), first=True)
    assert intent.is_paid_by(take(simulator, intent, first=True))
