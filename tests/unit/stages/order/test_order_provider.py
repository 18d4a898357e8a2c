"""order-service's side of the provider's API, against the simulator: done, refused for good, or unknown."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from common.errors import ServiceUnavailable
from order.provider import InProgress, Provider, Refused
from tests.payment_simulator.running import SECRET_KEY, Simulator, new_order

AMOUNT = 15_000


def ask(
    simulator: Simulator,
    question: Callable[[Provider], Coroutine[Any, Any, Any]],
    *,
    url: str = "",
    secret_key: str = SECRET_KEY,
    seconds: float = 10.0,
) -> Any:
    """What a provider client comes to."""

    async def asked() -> Any:
        provider = Provider(url or simulator.url, secret_key, timeout_seconds=seconds)
        await provider.open()
        try:
            return await question(provider)
        finally:
            await provider.close()

    return asyncio.run(asked())


def test_a_payment_is_confirmed_once_however_often_it_is_asked_for(simulator: Simulator) -> None:
    order_id = new_order()
    key = simulator.check_out(order_id, AMOUNT)
    for _ in range(2):
        paid = ask(simulator, lambda provider: provider.confirm(key, order_id, AMOUNT, key=key))
        assert (paid.payment_key, paid.order_id, paid.status, paid.total_amount) == (key, order_id, "DONE", AMOUNT)
        assert paid.is_paid
        assert "*" in paid.card.number
    assert ask(simulator, lambda provider: provider.find_order(order_id)) == paid
    assert ask(simulator, lambda provider: provider.find_payment(key)) == paid


def test_a_refund_is_done_once_for_its_key(simulator: Simulator) -> None:
    key = simulator.paid(AMOUNT)

    def refund(reference: str) -> Any:
        return ask(simulator, lambda provider: provider.cancel(key, 5000, reference, key=reference))

    for reference, expected in (("refund-1", [5000]), ("refund-1", [5000]), ("refund-2", [5000, 5000])):
        payment = refund(reference)
        assert [cancel.cancel_amount for cancel in payment.cancels] == expected
    assert payment.is_paid
    payment = refund("refund-3")
    assert not payment.is_paid
    assert [cancel.cancel_reason for cancel in payment.cancels] == ["refund-1", "refund-2", "refund-3"]
    with pytest.raises(Refused, match="ALREADY_CANCELED_PAYMENT"):
        refund("refund-4")


def test_what_was_refused_is_refused(simulator: Simulator) -> None:
    order_id = new_order("decline-")
    key = simulator.check_out(order_id, AMOUNT)
    with pytest.raises(Refused, match="REJECT_CARD_PAYMENT"):
        ask(simulator, lambda provider: provider.confirm(key, order_id, AMOUNT, key=key))
    assert ask(simulator, lambda provider: provider.find_order(order_id)).status == "ABORTED"
    with pytest.raises(Refused, match="NOT_FOUND_PAYMENT_SESSION"):
        ask(simulator, lambda provider: provider.confirm("no_such_key", new_order(), AMOUNT, key="k"))
    with pytest.raises(Refused, match="NOT_FOUND_PAYMENT"):
        ask(simulator, lambda provider: provider.cancel("no_such_key", 1, "reason", key="k"))


def test_nothing_is_known_of_what_nobody_has_begun(simulator: Simulator) -> None:
    assert ask(simulator, lambda provider: provider.find_order(new_order())) is None
    assert ask(simulator, lambda provider: provider.find_payment("no such key?")) is None
    order_id = new_order()
    simulator.check_out(order_id, AMOUNT)
    waiting = ask(simulator, lambda provider: provider.find_order(order_id))
    assert waiting.status == "IN_PROGRESS"
    assert not waiting.is_paid


def test_a_failure_of_the_providers_is_no_answer_to_us(simulator: Simulator) -> None:
    order_id = new_order("error-")
    key = simulator.check_out(order_id, AMOUNT)
    with pytest.raises(ServiceUnavailable) as failure:
        ask(simulator, lambda provider: provider.confirm(key, order_id, AMOUNT, key=key))
    assert (failure.value.retry_after or 0) >= 1
    assert ask(simulator, lambda provider: provider.confirm(key, order_id, AMOUNT, key=key)).is_paid


def test_a_lost_answer_is_unknown_and_can_be_looked_up(simulator: Simulator) -> None:
    order_id = new_order("lost-")
    key = simulator.check_out(order_id, AMOUNT)
    with pytest.raises(ServiceUnavailable):
        ask(simulator, lambda provider: provider.confirm(key, order_id, AMOUNT, key=key), seconds=0.5)
    assert ask(simulator, lambda provider: provider.find_order(order_id)).is_paid


def test_another_request_under_way_is_told_apart(simulator: Simulator) -> None:
    order_id = new_order()
    key = simulator.check_out(order_id, AMOUNT)

    async def twice(provider: Provider) -> list[Any]:
        both = (provider.confirm(key, order_id, AMOUNT, key=key) for _ in range(2))
        return await asyncio.gather(*both, return_exceptions=True)

    simulator.switch(latencyMedianMs=300)
    answers = ask(simulator, twice)
    simulator.switch(latencyMedianMs=0)
    assert sorted(type(answer).__name__ for answer in answers) == [InProgress.__name__, "ProviderPayment"]


def test_a_wrong_key_of_ours_fails_no_buyers_payment(simulator: Simulator) -> None:
    order_id = new_order()
    key = simulator.check_out(order_id, AMOUNT)
    for question in (
        lambda provider: provider.confirm(key, order_id, AMOUNT, key=key),
        lambda provider: provider.find_order(order_id),
    ):
        with pytest.raises(ServiceUnavailable):
            ask(simulator, question, secret_key="w" * 40)


def test_a_provider_that_is_not_there_or_none_is_unknown(simulator: Simulator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for url in (nowhere, f"{simulator.url}/health/live?"):
        with pytest.raises(ServiceUnavailable):
            ask(simulator, lambda provider: provider.confirm("key", "order_1", AMOUNT, key="k"), url=url)
