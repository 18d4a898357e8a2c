"""Paying: a payment for bookings, the provider's part, and what is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.identity import Role
from tests.contract.client import Api, outcome
from tests.contract.making import CONCERTS, Maker
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Shop

pytestmark = pytest.mark.unchanged_code("order/api/payments.py", "order/confirmation.py", "order/payments.py")


def test_a_payment_covers_several_bookings(shop: Shop, buyer: Api) -> None:
    ids = shop.book(buyer, 2) + shop.book(buyer)
    made = buyer.post(PAYMENTS, {"userId": buyer.user_id, "bookingIds": ids})
    payment_id = made.pop("paymentId")
    assert made == {"userId": buyer.user_id, "concertId": shop.schedule["concertId"], "totalPrice": 3 * PRICE}
    assert shop.payment_status(payment_id) == "WAITING"
    for booking_id in ids:
        assert buyer.get(f"{BOOKINGS}/{booking_id}")["paymentId"] == payment_id


def test_paying_confirms_the_bookings(shop: Shop, buyer: Api, make: Maker) -> None:
    ids, checkout = shop.checked_out(buyer, 2)

    assert buyer.patch(COMPLETE, checkout.body) == {}

    assert shop.payment_status(checkout.payment_id) == "COMPLETED"
    assert shop.bookings(ids) == ["CONFIRMED", "CONFIRMED"]
    assert shop.approved(checkout) == [2 * PRICE]
    rows = make.rows("order", "SELECT expires_at FROM bookings WHERE id = ANY(%s)", ids)
    assert [row["expires_at"] for row in rows] == [None, None]


def test_a_payment_is_shown_with_what_for_and_by_whom(shop: Shop, make: Maker) -> None:
    account = make.account()
    buyer = account.api
    seats = shop.seats(2)
    booked = buyer.post(BOOKINGS, shop.request(buyer, seats))
    payment_id = shop.payment(buyer, [booking["id"] for booking in booked])
    concert = buyer.get(f"{CONCERTS}/{shop.schedule['concertId']}")

    shown = buyer.get(f"{PAYMENTS}/{payment_id}")

    created = datetime.fromisoformat(shown.pop("createdAt"))
    assert abs(created - datetime.now(UTC)) < timedelta(minutes=1)
    assert shown == {
        "id": payment_id, "concertId": concert["id"], "scheduleId": shop.schedule["id"], "userId": buyer.user_id,
        "totalPrice": 2 * PRICE, "concertName": concert["concertName"], "runtime": concert["runtime"],
        "seat": ", ".join(seats), "nickname": account.nickname,
    }  # fmt: skip
    assert make.person(Role.MANAGER).get(f"{PAYMENTS}/{payment_id}")["id"] == payment_id
    make.person(Role.SELLER).refused(403, 1000, "GET", f"{PAYMENTS}/{payment_id}")
    make.person().refused(403, 1000, "GET", f"{PAYMENTS}/{payment_id}")


def test_a_payment_of_somebody_without_an_account_has_no_nickname(shop: Shop, buyer: Api) -> None:
    assert buyer.get(f"{PAYMENTS}/{shop.payment(buyer, shop.book(buyer))}")["nickname"] is None


def test_asking_again_for_the_same_bookings_is_the_same_payment(shop: Shop, buyer: Api) -> None:
    ids = shop.book(buyer, 2)
    payment_id = shop.payment(buyer, ids)
    assert shop.payment(buyer, list(reversed(ids))) == payment_id
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: shop.payment(buyer, ids), range(8))) == {payment_id}


def test_a_booking_has_one_waiting_payment(shop: Shop, buyer: Api) -> None:
    ids, other = shop.book(buyer, 3), shop.book(buyer)
    payment_id = shop.payment(buyer, ids)
    for others in (ids[:1], ids[:2], ids + other, ids[:2] + other):
        body = {"userId": buyer.user_id, "bookingIds": others}
        (problem,) = buyer.refused(400, 1001, "POST", PAYMENTS, json=body)
        assert problem["field"] == "bookingIds"
    assert {buyer.get(f"{BOOKINGS}/{booking_id}")["paymentId"] for booking_id in ids} == {payment_id}
    assert buyer.get(f"{BOOKINGS}/{other[0]}")["paymentId"] is None


def test_what_is_paid_together_is_of_one_show(shop: Shop, buyer: Api, make: Maker) -> None:
    schedule = make.schedule({"id": shop.schedule["concertId"]})
    body = {"scheduleId": schedule["id"], "userId": buyer.user_id, "price": PRICE, "seat": ["1 1"]}
    (other,) = buyer.post(BOOKINGS, body)
    ids = [*shop.book(buyer), other["id"]]
    buyer.refused(400, 1001, "POST", PAYMENTS, json={"userId": buyer.user_id, "bookingIds": ids})


def test_nobody_pays_for_others(shop: Shop, buyer: Api, make: Maker) -> None:
    ids = shop.book(buyer)
    for who in (make.person(), make.person(Role.SELLER), make.person(Role.MANAGER)):
        who.refused(403, 1000, "POST", PAYMENTS, json={"userId": buyer.user_id, "bookingIds": ids})
        who.refused(403, 1000, "POST", PAYMENTS, json={"userId": who.user_id, "bookingIds": ids})
    _, checkout = shop.checked_out(buyer)
    for who in (make.person(), make.person(Role.SELLER), make.person(Role.MANAGER)):
        who.refused(403, 1000, "PATCH", COMPLETE, json=checkout.body)
    assert shop.approved(checkout) == []


@pytest.mark.parametrize("status", ["CONFIRMED", "CANCEL_REQUESTED", "CANCELED"])
def test_only_pending_bookings_are_paid_for(status: str, shop: Shop, buyer: Api, make: Maker) -> None:
    pending, other = shop.book(buyer, 2)
    make.rows("order", "UPDATE bookings SET status = %s WHERE id = %s RETURNING id", status, other)
    for ids in ([other], [pending, other]):
        buyer.refused(400, 1001, "POST", PAYMENTS, json={"userId": buyer.user_id, "bookingIds": ids})


@pytest.mark.parametrize(
    "ids",
    [[], None, "1", [None], ["1"], [1.5], [True], [2**63], list(range(1, 102)), [7, 7]],
    ids=lambda ids: str(ids)[:20],
)
def test_a_payment_request_of_another_shape_is_invalid(ids: Any, buyer: Api) -> None:
    buyer.refused(400, 1001, "POST", PAYMENTS, json={"userId": buyer.user_id, "bookingIds": ids})


def test_bookings_and_payments_that_do_not_exist(shop: Shop, buyer: Api, manager: Api) -> None:
    (real,) = shop.book(buyer)
    for ids in ([999_999_999], [real, 999_999_999]):
        buyer.refused(404, 4001, "POST", PAYMENTS, json={"userId": buyer.user_id, "bookingIds": ids})
    for payment_id in (999_999_999, 0, -1):
        for who in (buyer, manager):
            who.refused(404, 4003, "GET", f"{PAYMENTS}/{payment_id}")
            who.refused(404, 4003, "PATCH", f"{PAYMENTS}/{payment_id}")
        manager.refused(404, 4003, "DELETE", f"{PAYMENTS}/{payment_id}")
    body = {"paymentId": "some_key", "orderId": "999999999_suffix", "amount": PRICE}
    buyer.refused(404, 4003, "PATCH", COMPLETE, json=body)
    manager.refused(400, 1001, "GET", f"{PAYMENTS}/abc")


@pytest.mark.parametrize(
    "change",
    [
        {"orderId": "suffix"}, {"orderId": "17"}, {"orderId": "17-suffix"}, {"orderId": "_suffix"},
        {"orderId": "017_suffix"}, {"orderId": "-1_suffix"}, {"orderId": "17_"}, {"orderId": "17_a b"},
        {"orderId": "17_" + "x" * 62}, {"orderId": "17_봄"}, {"orderId": 17}, {"orderId": None},
        {"paymentId": ""}, {"paymentId": "x" * 201}, {"paymentId": "a\nb"}, {"paymentId": None}, {"paymentId": 5},
        {"amount": 0}, {"amount": -1}, {"amount": "1"}, {"amount": 1.5}, {"amount": None}, {"amount": 10**15},
    ],
    ids=str,
)  # fmt: skip
def test_a_completion_of_another_shape_is_invalid(change: dict[str, Any], buyer: Api) -> None:
    body = {"paymentId": "some_key", "orderId": "17_suffix", "amount": PRICE} | change
    buyer.refused(400, 1001, "PATCH", COMPLETE, json=body)


def test_another_amount_takes_no_money_and_ends_nothing(shop: Shop, buyer: Api) -> None:
    ids, checkout = shop.checked_out(buyer, 2)
    for amount in (1, checkout.amount - 1, checkout.amount + 1, PRICE):
        buyer.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body | {"amount": amount})
    assert shop.approved(checkout) == []
    assert shop.bookings(ids) == ["PENDING", "PENDING"]
    assert buyer.patch(COMPLETE, checkout.body) == {}


def test_paying_twice_pays_once(shop: Shop, buyer: Api) -> None:
    _, checkout = shop.checked_out(buyer)
    for _ in range(3):
        assert buyer.patch(COMPLETE, checkout.body) == {}
    assert shop.approved(checkout) == [PRICE]
    another = shop.check_out(checkout.payment_id)
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=another.body)
    assert shop.approved(another) == []


def test_paying_many_times_at_once_pays_once(shop: Shop, buyer: Api) -> None:
    ids, checkout = shop.checked_out(buyer, 2)
    with shop.provider_faults():
        shop.switch(latencyMedianMs=300)
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(lambda _: outcome(buyer.send("PATCH", COMPLETE, json=checkout.body)), range(8)))
    assert answers == [(200, 0)] * 8
    assert shop.approved(checkout) == [2 * PRICE]
    assert shop.bookings(ids) == ["CONFIRMED", "CONFIRMED"]


def test_of_two_checkouts_at_once_one_is_paid(shop: Shop, buyer: Api) -> None:
    ids, first = shop.checked_out(buyer)
    second = shop.check_out(first.payment_id)
    with ThreadPoolExecutor(2) as threads:
        answers = list(threads.map(lambda one: outcome(buyer.send("PATCH", COMPLETE, json=one.body)), [first, second]))
    assert sorted(answers) == [(200, 0), (400, 4006)]
    assert shop.approved(first) + shop.approved(second) == [PRICE]
    assert shop.bookings(ids) == ["CONFIRMED"]


def test_a_declined_card_leaves_the_seats_to_another_try(shop: Shop, buyer: Api) -> None:
    ids, declined = shop.checked_out(buyer, 2, fault="decline-")
    for _ in range(2):
        buyer.refused(400, 4006, "PATCH", COMPLETE, json=declined.body)
    assert shop.payment_status(declined.payment_id) == "FAILED"
    assert shop.bookings(ids) == ["PENDING", "PENDING"]
    assert shop.approved(declined) == []

    again = shop.check_out(shop.payment(buyer, ids))

    assert again.payment_id != declined.payment_id
    assert buyer.patch(COMPLETE, again.body) == {}
    assert shop.bookings(ids) == ["CONFIRMED", "CONFIRMED"]
    assert shop.approved(again) == [2 * PRICE]
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=declined.body)


@pytest.mark.parametrize("what", ["an unknown key", "another order's key"])
def test_a_payment_key_that_is_none_takes_no_money(what: str, shop: Shop, buyer: Api, make: Maker) -> None:
    ids, checkout = shop.checked_out(buyer)
    _, others = shop.checked_out(make.person())
    key = "no_such_key" if what == "an unknown key" else others.payment_key
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body | {"paymentId": key})
    assert shop.approved(checkout) + shop.approved(others) == []
    assert shop.bookings(ids) == ["PENDING"]
    assert shop.payment_status(checkout.payment_id) == "FAILED"


@pytest.mark.parametrize("whose", ["one's own", "somebody else's"])
@pytest.mark.parametrize("after", ["paid", "paid and given back"])
def test_what_was_paid_once_pays_for_nothing_else(whose: str, after: str, shop: Shop, buyer: Api, make: Maker) -> None:
    payer = buyer if whose == "one's own" else make.person()
    _, paid = shop.buy(payer)
    if after == "paid and given back":
        assert payer.patch(f"{PAYMENTS}/{paid.payment_id}", None) == {}
    ids, dear = shop.checked_out(buyer, 10)
    for _ in range(2):
        buyer.refused(400, 4006, "PATCH", COMPLETE, json=dear.body | {"paymentId": paid.payment_key})
        assert shop.payment_status(dear.payment_id) == "WAITING"
        assert shop.bookings(ids) == ["PENDING"] * 10
    # Nothing has ended by it: the right key still pays.
    assert buyer.patch(COMPLETE, dear.body) == {}
    assert (shop.approved(paid), shop.approved(dear)) == ([PRICE], [10 * PRICE])
    assert buyer.patch(f"{PAYMENTS}/{dear.payment_id}", None) == {}
    assert shop.given_back(dear) == [PRICE] * 10


def test_one_checkout_for_two_payments_at_once_pays_for_its_own_at_most(shop: Shop, buyer: Api) -> None:
    (_, mine), (_, other) = shop.checked_out(buyer), shop.checked_out(buyer)
    bodies = [mine.body, other.body | {"paymentId": mine.payment_key}]
    with shop.provider_faults(), ThreadPoolExecutor(2) as threads:
        shop.switch(latencyMedianMs=300, sigma=0)
        outcomes = list(threads.map(lambda body: outcome(buyer.send("PATCH", COMPLETE, json=body)), bodies))
    assert outcomes[1] == (400, 4006)
    assert outcomes[0] in {(200, 0), (400, 4006)}
    assert shop.payment_status(other.payment_id) in {"WAITING", "FAILED"}
    # Whoever of them was first, its own payment can be paid by it.
    assert buyer.patch(COMPLETE, mine.body) == {}
    assert (shop.approved(mine), shop.approved(other)) == ([PRICE], [])


def test_a_payment_of_lost_seats_takes_no_money(shop: Shop, buyer: Api) -> None:
    ids, checkout = shop.checked_out(buyer, 2)
    assert outcome(shop.cancel(buyer, ids[0])) == (200, 0)
    assert shop.payment_status(checkout.payment_id) == "FAILED"
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body)
    assert shop.approved(checkout) == []
    again = shop.check_out(shop.payment(buyer, ids[1:]))
    assert buyer.patch(COMPLETE, again.body) == {}
    assert shop.bookings(ids) == ["CANCELED", "CONFIRMED"]


def test_only_a_canceled_payment_is_deleted_and_by_managers_only(
    shop: Shop, buyer: Api, seller: Api, manager: Api, make: Maker
) -> None:
    _, checkout = shop.buy(buyer)
    path = f"{PAYMENTS}/{checkout.payment_id}"
    for who in (buyer, seller):
        who.refused(403, 1000, "DELETE", path)
    manager.refused(400, 4002, "DELETE", path)
    manager.refused(400, 4002, "DELETE", f"{PAYMENTS}/{shop.payment(buyer, shop.book(buyer))}")
    _, declined = shop.checked_out(buyer, fault="decline-")
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=declined.body)
    manager.refused(400, 4002, "DELETE", f"{PAYMENTS}/{declined.payment_id}")
    assert buyer.patch(path, None) == {}
    assert shop.payment_status(checkout.payment_id) == "CANCELED"

    assert manager.delete(path) == {}

    (row,) = make.rows("order", "SELECT * FROM payments WHERE id = %s", checkout.payment_id)
    assert (row["is_deleted"], row["deleted_by"]) == (True, manager.user_id)
    for who in (buyer, manager):
        who.refused(404, 4003, "GET", path)
        who.refused(404, 4003, "PATCH", path)
    manager.refused(404, 4003, "DELETE", path)
