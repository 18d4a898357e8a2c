"""Cancelling bookings and payments: each accepted cancellation ends CANCELED, with its price given back once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import create_engine

from common.identity import Role
from tests.contract.client import Api, outcome
from tests.contract.making import SEATS, Maker
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Shop, eventually, over_show


def test_an_unpaid_booking_is_canceled_without_a_refund(shop: Shop, buyer: Api) -> None:
    first, second = shop.book(buyer, 2)
    assert buyer.patch(f"{BOOKINGS}/cancel/{first}", None) == {}
    assert shop.bookings([first, second]) == ["CANCELED", "PENDING"]
    buyer.refused(400, 4002, "PATCH", f"{BOOKINGS}/cancel/{first}")


def test_the_last_unpaid_booking_takes_its_payment_with_it(shop: Shop, buyer: Api) -> None:
    (booking_id,), checkout = shop.checked_out(buyer)
    assert outcome(shop.cancel(buyer, booking_id)) == (200, 0)
    assert shop.payment_status(checkout.payment_id) == "CANCELED"
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body)
    assert shop.approved(checkout) == []
    assert shop.refunds(checkout.payment_id) == []


@pytest.mark.parametrize("role", [Role.USER, Role.MANAGER])
def test_a_paid_booking_is_refunded_and_its_seat_is_free(role: Role, shop: Shop, buyer: Api, make: Maker) -> None:
    (seat,) = shop.seats()
    (booked,) = buyer.post(BOOKINGS, shop.request(buyer, [seat]))
    checkout = shop.check_out(shop.payment(buyer, [booked["id"]]))
    buyer.patch(COMPLETE, checkout.body)
    caller = buyer if role is Role.USER else make.person(role)

    assert outcome(shop.cancel(caller, booked["id"])) == (200, 0)

    assert shop.bookings([booked["id"]]) == ["CANCELED"]
    assert shop.payment_status(checkout.payment_id) == "CANCELED"
    assert shop.refunds(checkout.payment_id) == [(booked["id"], PRICE, "DONE")]
    assert shop.given_back(checkout) == [PRICE]
    assert seat not in buyer.get(f"{SEATS}/{shop.schedule['id']}")
    caller.refused(400, 4002, "PATCH", f"{BOOKINGS}/cancel/{booked['id']}")
    assert shop.given_back(checkout) == [PRICE]


def test_one_of_several_bookings_is_refunded_alone(shop: Shop, buyer: Api) -> None:
    ids, checkout = shop.buy(buyer, 3)
    for number, booking_id in enumerate(ids, start=1):
        assert shop.payment_status(checkout.payment_id) == "COMPLETED"
        assert outcome(shop.cancel(buyer, booking_id)) == (200, 0)
        assert shop.given_back(checkout) == [PRICE] * number
        assert shop.bookings(ids) == ["CANCELED"] * number + ["CONFIRMED"] * (3 - number)
    assert shop.payment_status(checkout.payment_id) == "CANCELED"


def test_cancelling_the_payment_cancels_all_that_is_left_of_it(shop: Shop, buyer: Api) -> None:
    ids, checkout = shop.buy(buyer, 3)
    shop.cancel(buyer, ids[1])

    assert buyer.patch(f"{PAYMENTS}/{checkout.payment_id}", None) == {}

    assert shop.bookings(ids) == ["CANCELED"] * 3
    assert shop.payment_status(checkout.payment_id) == "CANCELED"
    assert shop.given_back(checkout) == [PRICE] * 3
    assert shop.refunds(checkout.payment_id) == [(booking_id, PRICE, "DONE") for booking_id in ids]
    buyer.refused(400, 4002, "PATCH", f"{PAYMENTS}/{checkout.payment_id}")


def test_a_waiting_payment_is_canceled_with_its_bookings(shop: Shop, buyer: Api, manager: Api) -> None:
    ids, checkout = shop.checked_out(buyer, 2)
    assert manager.patch(f"{PAYMENTS}/{checkout.payment_id}", None) == {}
    assert shop.bookings(ids) == ["CANCELED", "CANCELED"]
    assert shop.payment_status(checkout.payment_id) == "CANCELED"
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body)
    assert shop.approved(checkout) == []


def test_a_failed_payment_cannot_be_canceled(shop: Shop, buyer: Api) -> None:
    ids, checkout = shop.checked_out(buyer, fault="decline-")
    buyer.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body)
    buyer.refused(400, 4002, "PATCH", f"{PAYMENTS}/{checkout.payment_id}")
    assert shop.bookings(ids) == ["PENDING"]


def test_others_cancel_neither_booking_nor_payment(shop: Shop, buyer: Api, make: Maker) -> None:
    ids, checkout = shop.buy(buyer)
    for who in (make.person(), make.person(Role.SELLER)):
        who.refused(403, 1000, "PATCH", f"{BOOKINGS}/cancel/{ids[0]}")
        who.refused(403, 1000, "PATCH", f"{PAYMENTS}/{checkout.payment_id}")
    assert shop.bookings(ids) == ["CONFIRMED"]
    assert shop.given_back(checkout) == []


def test_nothing_of_a_show_that_is_over_is_canceled(shop: Shop, buyer: Api, make: Maker) -> None:
    ids, checkout = shop.buy(buyer, 2)
    over = over_show(make)
    for table in ("bookings", "payments"):
        make.rows("order", f"UPDATE {table} SET schedule_id = %s WHERE user_id = %s RETURNING id", over["id"],
                  buyer.user_id)  # fmt: skip
    for who in (buyer, make.person(Role.MANAGER)):
        who.refused(400, 4002, "PATCH", f"{BOOKINGS}/cancel/{ids[0]}")
        who.refused(400, 4002, "PATCH", f"{PAYMENTS}/{checkout.payment_id}")
    assert shop.bookings(ids) == ["CONFIRMED", "CONFIRMED"]
    assert shop.given_back(checkout) == []


def test_a_booking_that_was_never_paid_here_needs_no_refund(shop: Shop, make: Maker, manager: Api) -> None:
    (seat,) = shop.seats()
    make.booking(shop.schedule, seat)
    (row,) = make.rows("order", "SELECT id FROM bookings WHERE schedule_id = %s ORDER BY id DESC LIMIT 1",
                       shop.schedule["id"])  # fmt: skip
    assert outcome(shop.cancel(manager, row["id"])) == (200, 0)
    assert shop.bookings([row["id"]]) == ["CANCELED"]


def test_cancelling_many_times_at_once_refunds_once(shop: Shop, buyer: Api) -> None:
    (booking_id, other), checkout = shop.buy(buyer, 2)
    with shop.provider_faults():
        shop.switch(latencyMedianMs=300)
        with ThreadPoolExecutor(8) as threads:
            answers = set(threads.map(lambda _: outcome(shop.cancel(buyer, booking_id)), range(8)))
    # Who came when it had been done was told that it had.
    assert (200, 0) in answers
    assert answers <= {(200, 0), (400, 4002)}
    assert shop.given_back(checkout) == [PRICE]
    assert shop.bookings([booking_id, other]) == ["CANCELED", "CONFIRMED"]


def test_cancelling_all_bookings_and_the_payment_at_once_refunds_each_once(shop: Shop, buyer: Api) -> None:
    """All refunds end at the same moment, and the last of them must be seen to be the last."""
    with shop.provider_faults(), ThreadPoolExecutor(12) as threads:
        for _ in range(4):
            shop.switch(latencyMedianMs=0)
            ids, checkout = shop.buy(buyer, 10)
            shop.switch(latencyMedianMs=100, sigma=0)
            paths = [f"{BOOKINGS}/cancel/{booking_id}" for booking_id in ids]
            paths += [f"{PAYMENTS}/{checkout.payment_id}"] * 2
            answers = set(threads.map(lambda path: outcome(buyer.send("PATCH", path)), paths))
            assert answers <= {(200, 0), (400, 4002)}
            assert shop.given_back(checkout) == [PRICE] * 10
            assert shop.bookings(ids) == ["CANCELED"] * 10
            assert shop.payment_status(checkout.payment_id) == "CANCELED"


def test_cancelling_while_it_is_being_paid_ends_paid_back(shop: Shop, buyer: Api) -> None:
    (booking_id,), checkout = shop.checked_out(buyer)
    with shop.provider_faults(), ThreadPoolExecutor(1) as threads:
        shop.switch(latencyMedianMs=500)
        paying = threads.submit(lambda: outcome(buyer.send("PATCH", COMPLETE, json=checkout.body)))
        assert eventually(lambda: _is_confirming(shop, checkout.payment_id))
        canceled = outcome(shop.cancel(buyer, booking_id))
        paid = paying.result()
    assert canceled == (200, 0)
    assert paid in {(200, 0), (400, 4006)}
    assert shop.bookings([booking_id]) == ["CANCELED"]
    assert shop.approved(checkout) == shop.given_back(checkout) == [PRICE]
    assert shop.payment_status(checkout.payment_id) == "CANCELED"


def test_cancelling_while_the_card_is_declined_ends_without_money(shop: Shop, buyer: Api) -> None:
    (booking_id,), checkout = shop.checked_out(buyer, fault="decline-")
    with shop.provider_faults(), ThreadPoolExecutor(1) as threads:
        shop.switch(latencyMedianMs=500)
        paying = threads.submit(lambda: outcome(buyer.send("PATCH", COMPLETE, json=checkout.body)))
        assert eventually(lambda: _is_confirming(shop, checkout.payment_id))
        assert outcome(shop.cancel(buyer, booking_id)) == (200, 0)
        assert paying.result() == (400, 4006)
    assert shop.bookings([booking_id]) == ["CANCELED"]
    assert shop.approved(checkout) == shop.given_back(checkout) == []


def _is_confirming(shop: Shop, payment_id: int) -> bool:
    query = "SELECT confirm_due_at FROM payments WHERE id = %s"
    return shop.make.rows("order", query, payment_id)[0]["confirm_due_at"] is not None


def test_finishing_a_refund_twice_leaves_the_payment_of_the_others_alone(shop: Shop, buyer: Api) -> None:
    """A request, a worker and a consumer may come to its end at once."""
    from order.refunds import _DONE

    (first, second), checkout = shop.buy(buyer, 2)
    shop.cancel(buyer, first)
    assert shop.ends([first], "CANCELED")
    (refund,) = shop.make.rows("order", "SELECT id, transaction_key FROM refunds WHERE booking_id = %s", first)
    engine = create_engine(shop.platform.database_urls["order"].replace("postgresql://", "postgresql+psycopg://"))
    values = {"refund_id": refund["id"], "payment_id": checkout.payment_id, "transaction_key": "again"}
    with engine.begin() as connection:
        assert connection.execute(_DONE, values).all() == []
    engine.dispose()
    assert shop.payment_status(checkout.payment_id) == "COMPLETED"
    assert shop.bookings([second]) == ["CONFIRMED"]
