"""Latency and faults: drawn from the seed, whatever the order; switched at run time; asked for by name."""

from __future__ import annotations

import math
import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from payment_simulator.faults import FaultProfile, Faults, Operation, draw
from payment_simulator.merchant_api import LATENCY_HEADER
from tests.payment_simulator.conftest import StartSimulator
from tests.payment_simulator.running import SEED, Simulator, code, confirm_body, new_order, until


def test_latency_is_log_normal() -> None:
    profile = FaultProfile(latency_median_ms=600, sigma=0.35)
    drawn = [draw(profile, SEED, f"request {n}", 0).latency_seconds for n in range(4_000)]
    assert statistics.median(drawn) == pytest.approx(0.600, rel=0.03)
    logarithms = [math.log(seconds) for seconds in drawn]
    assert statistics.stdev(logarithms) == pytest.approx(0.35, rel=0.05)
    # Symmetric on the logarithmic scale, with a normal's tails: 2.5% beyond 1.96 sigma on either side.
    for sign in (-1, 1):
        bound = math.log(0.6) + sign * 1.96 * 0.35
        beyond = sum(sign * (value - bound) > 0 for value in logarithms) / len(logarithms)
        assert beyond == pytest.approx(0.025, abs=0.01)


def test_rates_are_met_and_independent() -> None:
    profile = FaultProfile(decline_rate=0.2, error_rate=0.1, lost_answer_rate=0.3)
    fates = [draw(profile, SEED, f"request {n}", 0) for n in range(5_000)]
    assert statistics.mean(fate.decline for fate in fates) == pytest.approx(0.2, abs=0.02)
    assert statistics.mean(fate.error for fate in fates) == pytest.approx(0.1, abs=0.02)
    assert statistics.mean(fate.lost_answer for fate in fates) == pytest.approx(0.3, abs=0.02)
    assert statistics.mean(fate.decline and fate.lost_answer for fate in fates) == pytest.approx(0.06, abs=0.015)


def test_a_draw_depends_on_seed_request_and_attempt_alone() -> None:
    profile = FaultProfile(error_rate=0.5, latency_median_ms=100, sigma=1)
    requests = [f"request {n}" for n in range(200)]
    forward = {request: draw(profile, SEED, request, 0) for request in requests}
    backward = {request: draw(profile, SEED, request, 0) for request in reversed(requests)}
    assert forward == backward
    assert forward != {request: draw(profile, SEED + 1, request, 0) for request in requests}
    assert forward != {request: draw(profile, SEED, request, 1) for request in requests}


def test_a_rate_of_one_strikes_always_and_of_zero_never() -> None:
    always = Faults(SEED, FaultProfile(error_rate=1))
    never = Faults(SEED, FaultProfile())
    assert all(always.next_draw(Operation.CONFIRM, f"r{n % 10}", "1_abcdef").error for n in range(100))
    assert not any(never.next_draw(Operation.CONFIRM, f"r{n}", "1_abcdef").error for n in range(100))


def test_the_server_waits_as_long_as_was_drawn(simulator: Simulator) -> None:
    simulator.switch(latencyMedianMs=20, sigma=0.5)
    profile = FaultProfile(latency_median_ms=20, sigma=0.5)
    for _ in range(5):
        order = new_order()
        drawn = draw(profile, SEED, f"/v1/payments/confirm\nw-{order}", 0).latency_seconds
        started = time.monotonic()
        answer = simulator.confirm(order, key=f"w-{order}")
        took = time.monotonic() - started
        assert float(answer.headers[LATENCY_HEADER]) == pytest.approx(drawn * 1000, abs=0.001)
        # A timer may be a millisecond early; how late an answer is says nothing about the draw.
        assert took > drawn - 0.002


def test_faults_strike_the_same_requests_in_any_order(simulator: Simulator) -> None:
    simulator.switch(declineRate=0.3, errorRate=0.3)
    profile = FaultProfile(decline_rate=0.3, error_rate=0.3)
    orders = [new_order() for _ in range(60)]
    expected = {}
    for order in orders:
        fate = draw(profile, SEED, f"/v1/payments/confirm\ns-{order}", 0)
        expected[order] = 500 if fate.error else 403 if fate.decline else 200
    assert set(expected.values()) == {200, 403, 500}

    random.Random(3).shuffle(orders)
    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(lambda order: simulator.confirm(order, key=f"s-{order}").status_code, orders))

    assert dict(zip(orders, statuses, strict=True)) == expected
    done = {payment["orderId"] for payment in simulator.ledger()["payment"] if payment["status"] == "DONE"}
    assert done & set(orders) == {order for order, status in expected.items() if status == 200}


def test_a_retry_after_a_500_can_succeed_under_the_same_key(simulator: Simulator) -> None:
    order = new_order("error-")
    assert code(simulator.confirm(order, key=order)) == (500, "FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING")
    assert code(simulator.http.get(f"/v1/payments/orders/{order}")) == (404, "NOT_FOUND_PAYMENT")
    assert simulator.confirm(order, key=order).json()["status"] == "DONE"

    key = simulator.paid(prefix="cancelerror-")
    assert code(simulator.cancel(key, key="c")) == (500, "FAILED_INTERNAL_SYSTEM_PROCESSING")
    assert simulator.cancel(key, key="c").json()["status"] == "CANCELED"


def test_a_cancel_can_be_down_for_one_order(simulator: Simulator) -> None:
    key = simulator.paid(prefix="canceldown-")
    assert [simulator.cancel(key, key="c").status_code for _ in range(3)] == [500, 500, 500]
    assert simulator.http.get(f"/v1/payments/{key}").json()["status"] == "DONE"


def test_confirm_and_cancel_can_be_switched_off_and_on(simulator: Simulator) -> None:
    key = simulator.paid()
    order = new_order()
    simulator.switch(confirmDown=True)
    assert simulator.confirm(order, key=order).status_code == 500
    simulator.switch(cancelDown=True)
    assert simulator.confirm(order, key=order).status_code == 200
    assert simulator.cancel(key).status_code == 500
    simulator.switch()
    assert simulator.cancel(key).status_code == 200


@pytest.mark.parametrize("prefix", ["lost-", ""])
def test_an_answer_is_lost_and_the_work_is_done(simulator: Simulator, prefix: str) -> None:
    """By the order's name, and by the rate; then the same key gets the answer that was lost."""
    simulator.switch(lostAnswerRate=0 if prefix else 1)
    order = new_order(prefix)
    with pytest.raises(httpx.ReadTimeout):
        simulator.http.post(
            "/v1/payments/confirm", json=confirm_body(order), headers={"Idempotency-Key": order}, timeout=0.3
        )
    look_up = f"/v1/payments/orders/{order}"
    assert until(lambda: simulator.http.get(look_up).status_code == 200)

    replayed = simulator.confirm(order, key=order)
    assert replayed.json() == simulator.http.get(look_up).json()
    assert replayed.json()["status"] == "DONE"


def test_a_lost_cancel_is_done_once(simulator: Simulator) -> None:
    key = simulator.paid(9_000, prefix="cancellost-")
    with pytest.raises(httpx.ReadTimeout):
        simulator.http.post(
            f"/v1/payments/{key}/cancel",
            json={"cancelReason": "r", "cancelAmount": 4_000},
            headers={"Idempotency-Key": "c"},
            timeout=0.3,
        )
    assert until(lambda: simulator.http.get(f"/v1/payments/{key}").json()["balanceAmount"] == 5_000)
    assert simulator.cancel(key, 4_000, key="c").json()["balanceAmount"] == 5_000


def test_a_profile_is_replaced_by_what_is_put(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(PAYMENT_DECLINE_RATE="0.5", PAYMENT_LATENCY_SIGMA="0.2")
    simulator.await_ready()
    configured = simulator.http.get("/simulator/faults").json()
    assert (configured["declineRate"], configured["sigma"], configured["errorRate"]) == (0.5, 0.2, 0.0)
    simulator.switch(errorRate=0.25)
    assert simulator.http.get("/simulator/faults").json() == {**configured, "errorRate": 0.25}
    simulator.switch(declineRate=0)
    assert simulator.http.get("/simulator/faults").json() == {**configured, "declineRate": 0.0}


@pytest.mark.parametrize(
    "body", ["", "[]", '{"errorRate": 1.5}', '{"errorRates": 1}', '{"latencyMedianMs": Infinity}', '{"sigma": NaN}']
)
def test_a_profile_that_makes_no_sense_is_refused(simulator: Simulator, body: str) -> None:
    before = simulator.http.get("/simulator/faults").json()
    assert code(simulator.http.put("/simulator/faults", content=body)) == (400, "INVALID_REQUEST")
    assert simulator.http.get("/simulator/faults").json() == before
