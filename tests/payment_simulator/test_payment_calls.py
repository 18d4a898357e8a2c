"""Confirm, cancel, look-ups and the checkout, as Toss documents them."""

from __future__ import annotations

import base64

import pytest

from payment_simulator.checkout_key import payment_key_for
from tests.payment_simulator.conftest import StartSimulator
from tests.payment_simulator.running import SECRET_KEY, Simulator, code, confirm_body, new_order, until


def test_a_confirmed_checkout_is_a_done_payment(simulator: Simulator) -> None:
    order = new_order()
    key = simulator.check_out(order)
    assert simulator.http.get(f"/v1/payments/{key}").json()["status"] == "IN_PROGRESS"

    answer = simulator.confirm(order, payment_key=key)

    assert answer.status_code == 200
    payment = answer.json()
    assert payment["paymentKey"] == key
    assert payment["orderId"] == order
    assert payment["status"] == "DONE"
    assert (payment["totalAmount"], payment["balanceAmount"]) == (15_000, 15_000)
    assert (payment["suppliedAmount"], payment["vat"]) == (13_636, 1_364)
    assert payment["method"] == "카드"
    assert payment["card"]["amount"] == 15_000
    assert payment["approvedAt"].endswith("+09:00")
    assert payment["cancels"] is None
    assert payment["failure"] is None
    for path in (f"/v1/payments/{key}", f"/v1/payments/orders/{order}"):
        assert simulator.http.get(path).json() == payment


def test_a_key_made_by_the_rule_needs_no_checkout_call(simulator: Simulator) -> None:
    order = new_order()
    assert simulator.confirm(order).json()["status"] == "DONE"
    other = new_order()
    assert simulator.check_out(other) == payment_key_for(other, 15_000)


def test_a_payment_and_an_order_are_paid_once(simulator: Simulator) -> None:
    order = new_order()
    first, second = simulator.check_out(order), simulator.check_out(order)
    assert first != second
    assert simulator.confirm(order, payment_key=first).status_code == 200

    assert code(simulator.confirm(order, payment_key=first)) == (400, "ALREADY_PROCESSED_PAYMENT")
    assert code(simulator.confirm(order, payment_key=second)) == (400, "ALREADY_PROCESSED_PAYMENT")
    checkout = simulator.http.post("/simulator/checkouts", json={"orderId": order, "amount": 15_000})
    assert code(checkout) == (400, "DUPLICATED_ORDER_ID")
    assert simulator.http.get(f"/v1/payments/orders/{order}").json()["paymentKey"] == first


def test_a_key_is_bound_to_its_order_and_amount(simulator: Simulator) -> None:
    order, other = new_order(), new_order()
    key = simulator.check_out(order)

    assert code(simulator.confirm(order, 14_999, payment_key=key)) == (400, "INVALID_REQUEST")
    assert code(simulator.confirm(other, payment_key=key)) == (403, "FORBIDDEN_REQUEST")
    by_rule = payment_key_for(other, 100)
    assert code(simulator.confirm(other, 15_000, payment_key=by_rule)) == (400, "INVALID_REQUEST")
    assert code(simulator.confirm(order, 100, payment_key=by_rule)) == (404, "NOT_FOUND_PAYMENT_SESSION")
    assert code(simulator.confirm(order, payment_key="sim_15000_0_" + "0" * 32)) == (404, "NOT_FOUND_PAYMENT_SESSION")
    assert simulator.confirm(order, payment_key=key).status_code == 200


def test_a_checkout_expires(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(PAYMENT_CHECKOUT_SECONDS="0.01")
    simulator.await_ready()
    order = new_order()
    key = simulator.check_out(order)
    assert until(lambda: simulator.http.get(f"/v1/payments/{key}").json()["status"] == "EXPIRED")
    assert code(simulator.confirm(order, payment_key=key)) == (404, "NOT_FOUND_PAYMENT_SESSION")


def test_partial_cancels_never_exceed_the_balance(simulator: Simulator) -> None:
    key = simulator.paid(10_000)

    first = simulator.cancel(key, 4_000).json()
    assert (first["status"], first["balanceAmount"]) == ("PARTIAL_CANCELED", 6_000)
    assert code(simulator.cancel(key, 6_001)) == (403, "NOT_CANCELABLE_AMOUNT")
    second = simulator.cancel(key, 1_000).json()
    assert [cancel["cancelAmount"] for cancel in second["cancels"]] == [4_000, 1_000]
    last = simulator.cancel(key).json()

    assert (last["status"], last["totalAmount"], last["balanceAmount"]) == ("CANCELED", 10_000, 0)
    assert [cancel["cancelAmount"] for cancel in last["cancels"]] == [4_000, 1_000, 5_000]
    assert [cancel["refundableAmount"] for cancel in last["cancels"]] == [6_000, 5_000, 0]
    assert len({cancel["transactionKey"] for cancel in last["cancels"]}) == 3
    assert last["lastTransactionKey"] == last["cancels"][-1]["transactionKey"]
    assert code(simulator.cancel(key)) == (400, "ALREADY_CANCELED_PAYMENT")
    assert simulator.http.get(f"/v1/payments/{key}").json() == last


def test_only_an_approved_payment_can_be_canceled(simulator: Simulator) -> None:
    order = new_order("decline-")
    unpaid = simulator.check_out(order)
    assert code(simulator.cancel(unpaid)) == (403, "NOT_CANCELABLE_PAYMENT")
    assert code(simulator.cancel("sim_1_0_nothing")) == (404, "NOT_FOUND_PAYMENT")
    assert simulator.confirm(order, payment_key=unpaid).status_code == 403
    assert code(simulator.cancel(unpaid)) == (403, "NOT_CANCELABLE_PAYMENT")


def test_a_declined_card_aborts_the_payment_but_not_the_order(simulator: Simulator) -> None:
    order = new_order("decline-")
    key = simulator.check_out(order)
    assert code(simulator.confirm(order, payment_key=key)) == (403, "REJECT_CARD_PAYMENT")

    declined = simulator.http.get(f"/v1/payments/{key}").json()
    assert declined["status"] == "ABORTED"
    assert declined["approvedAt"] is None
    assert declined["failure"]["code"] == "REJECT_CARD_PAYMENT"
    assert code(simulator.confirm(order, payment_key=key)) == (400, "ALREADY_PROCESSED_PAYMENT")
    again = simulator.check_out(order)
    assert again != key
    assert simulator.http.get(f"/v1/payments/orders/{order}").json()["status"] == "IN_PROGRESS"


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (None, (401, "UNAUTHORIZED_KEY")),
        ("Bearer " + SECRET_KEY, (401, "UNAUTHORIZED_KEY")),
        ("Basic " + base64.b64encode(b"test_sk_another:").decode(), (401, "UNAUTHORIZED_KEY")),
        ("Basic " + base64.b64encode(SECRET_KEY.encode()).decode(), (403, "INCORRECT_BASIC_AUTH_FORMAT")),
        ("Basic !!", (403, "INCORRECT_BASIC_AUTH_FORMAT")),
    ],
)
def test_the_secret_key_is_needed(simulator: Simulator, authorization: str | None, expected: tuple[int, str]) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    order = new_order()
    anyone = simulator.anyone
    assert code(anyone.post("/v1/payments/confirm", json=confirm_body(order), headers=headers)) == expected
    assert code(anyone.put("/simulator/faults", json={"errorRate": 1}, headers=headers)) == expected
    for path in (f"/v1/payments/orders/{order}", "/simulator/ledger", "/simulator/summary", "/simulator/faults"):
        assert code(anyone.get(path, headers=headers)) == expected
    for path in ("/health/live", "/health/ready", "/metrics"):
        assert anyone.get(path, headers=headers).status_code == 200
    assert code(simulator.http.get(f"/v1/payments/orders/{order}")) == (404, "NOT_FOUND_PAYMENT")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"paymentKey": "k", "orderId": "1_abcdef"}',
        '{"paymentKey": "k", "orderId": "1_abcdef", "amount": 0}',
        '{"paymentKey": "k", "orderId": "1_abcdef", "amount": -5}',
        '{"paymentKey": "k", "orderId": "1_abcdef", "amount": "15000"}',
        '{"paymentKey": "k", "orderId": "1_abcdef", "amount": true}',
        '{"paymentKey": "k", "orderId": "1_abcdef", "amount": 1e30}',
        '{"paymentKey": null, "orderId": "1_abcdef", "amount": 1}',
        '{"paymentKey": "\\ud800", "orderId": "1_abcdef", "amount": 1}',
        " " * 2_000_000,
    ],
)
def test_a_body_that_makes_no_sense_is_refused(simulator: Simulator, body: str) -> None:
    assert code(simulator.http.post("/v1/payments/confirm", content=body)) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("order", ["", "1_abc", "x" * 65, "1_abcdef\n", "1 abcdef", "주문번호123456"])
def test_an_order_id_has_tosss_form(simulator: Simulator, order: str) -> None:
    checkout = simulator.http.post("/simulator/checkouts", json={"orderId": order, "amount": 1})
    assert code(checkout) == (400, "INVALID_ORDER_ID")
    assert code(simulator.confirm(order, 1)) == (400, "INVALID_ORDER_ID")


@pytest.mark.parametrize("cancel", [{}, {"cancelReason": ""}, {"cancelReason": "r", "cancelAmount": 0}])
def test_a_cancel_needs_a_reason_and_a_positive_amount(simulator: Simulator, cancel: dict[str, object]) -> None:
    key = simulator.paid()
    assert code(simulator.http.post(f"/v1/payments/{key}/cancel", json=cancel)) == (400, "INVALID_REQUEST")
    assert simulator.http.get(f"/v1/payments/{key}").json()["status"] == "DONE"


def test_unknown_calls_and_payments(simulator: Simulator) -> None:
    assert code(simulator.http.get("/v1/payments/orders/9999_nothing")) == (404, "NOT_FOUND_PAYMENT")
    assert code(simulator.http.get("/v1/payments/nothing")) == (404, "NOT_FOUND_PAYMENT")
    assert code(simulator.http.get("/v1/nothing")) == (404, "NOT_FOUND")
    assert code(simulator.http.put("/v1/payments/confirm")) == (405, "INVALID_REQUEST")


def test_messages_are_korean_unless_english_is_asked_for(simulator: Simulator) -> None:
    korean = simulator.http.get("/v1/payments/nothing").json()["message"]
    english = simulator.http.get("/v1/payments/nothing", headers={"Accept-Language": "en-US"}).json()["message"]
    assert korean == "존재하지 않는 결제 정보 입니다."
    assert english == "Not found payment."


def test_a_page_of_any_origin_may_check_out(simulator: Simulator) -> None:
    url = "/simulator/checkouts"
    origin = {"Origin": "http://shop.test"}
    asked = {**origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    preflight = simulator.anyone.options(url, headers=asked)
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "*"
    made = simulator.anyone.post(url, headers=origin, json={"orderId": new_order(), "amount": 1})
    refused = simulator.anyone.post(url, headers=origin, json={})
    assert (made.status_code, made.headers["access-control-allow-origin"]) == (200, "*")
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (400, "*")


def test_metrics_count_what_was_answered(simulator: Simulator) -> None:
    simulator.paid()
    page = simulator.http.get("/metrics").text
    assert 'http_request_seconds_count{method="POST",route="/v1/payments/confirm",status="200"}' in page
    assert "payment_ledger_group_size_count" in page
