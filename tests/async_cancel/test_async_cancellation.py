"""A cancellation is answered at once, and comes to one right end, whatever the provider says."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.async_cancel.stage_hall import CANCELLATIONS, Hall
from tests.contract.client import outcome
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, over_show
from tests.polling import until


def outbox(hall: Hall) -> int:
    """How many messages have ever been written."""
    (row,) = hall.rows("SELECT coalesce(max(id), 0) AS last FROM outbox")
    return int(row["last"])


def test_the_answer_does_not_wait_for_the_provider(hall: Hall) -> None:
    (one,) = hall.buy(1)
    hall.shop.switch(latencyMedianMs=700)
    try:
        hall.accept(one)
        assert hall.statuses([one]) == ["CANCEL_REQUESTED"]
        assert hall.refunded(one) == []
        # Still taken: its price has not been given back.
        assert len(hall.rows("SELECT 1 FROM outbox WHERE key = %s", str(one.booking_id))) == 1
    finally:
        hall.shop.switch(latencyMedianMs=0)
    hall.settled([one])
    one.buyer.refused(400, 4002, "PATCH", f"{BOOKINGS}/cancel/{one.booking_id}")


def test_cancelling_twice_is_one_message_and_one_refund(hall: Hall) -> None:
    (one,) = hall.buy(1)
    with hall.shop.provider_faults(cancelDown=True):
        hall.accept(one, one, one, one)
        assert hall.statuses([one]) == ["CANCEL_REQUESTED"]
        assert len(hall.rows("SELECT 1 FROM outbox WHERE key = %s", str(one.booking_id))) == 1
    hall.settled([one])
    assert {outcome(answer) for answer in hall.cancel(one, one)} == {(400, 4002)}
    hall.settled([one])


def test_a_message_that_comes_twice_refunds_once(hall: Hall) -> None:
    some = hall.buy(3)
    hall.accept(*some)
    hall.settled(some)
    dead = len(hall.dead_letters())
    hall.broker.send(CANCELLATIONS, *(b'{"bookingId": %d}' % one.booking_id for one in some * 2))
    assert until(hall.finished)
    hall.settled(some)
    assert len(hall.dead_letters()) == dead


@pytest.mark.parametrize("fault", ["cancelerror-", "cancellost-"])
def test_it_is_tried_again_until_it_is_done_once(fault: str, hall: Hall) -> None:
    """500 before it did anything; a time-out after it did."""
    some = hall.buy(2, fault)
    hall.accept(*some)
    hall.settled(some)


def test_what_the_provider_has_done_already_is_done(hall: Hall) -> None:
    """The provider has forgotten our key, and says ALREADY_CANCELED_PAYMENT; its record says that it was us."""
    (one,) = hall.buy(1)
    ours = {"cancelReason": f"예매 취소 (refund-{one.booking_id})", "cancelAmount": PRICE}
    path = f"/v1/payments/{one.checkout.payment_key}/cancel"
    assert hall.shop.provider.post(path, json=ours).status_code == 200
    hall.accept(one)
    hall.settled([one])


def test_what_needs_no_refund_needs_no_message(hall: Hall) -> None:
    before = outbox(hall)
    buyer = hall.shop.make.person()
    unpaid, covered = hall.shop.book(buyer, 2)
    payment_id = hall.shop.payment(buyer, [covered])
    assert buyer.patch(f"{BOOKINGS}/cancel/{unpaid}", None) == {}
    assert buyer.patch(f"{PAYMENTS}/{payment_id}", None) == {}
    assert hall.shop.bookings([unpaid, covered]) == ["CANCELED"] * 2
    (late,) = hall.buy(1)
    over = over_show(hall.shop.make)
    hall.rows("UPDATE bookings SET schedule_id = %s WHERE id = %s RETURNING id", over["id"], late.booking_id)
    assert [outcome(answer) for answer in hall.cancel(late)] == [(400, 4002)]
    assert hall.statuses([late]) == ["CONFIRMED"]
    assert outbox(hall) == before


@pytest.mark.parametrize("fault", ["", "decline-"])
def test_cancelling_while_a_payment_is_being_confirmed(fault: str, hall: Hall) -> None:
    buyer = hall.shop.make.person()
    (booking_id,), checkout = hall.shop.checked_out(buyer, 1, fault)
    confirming = "SELECT 1 FROM payments WHERE id = %s AND confirm_due_at IS NOT NULL"
    with ThreadPoolExecutor(1) as threads:
        hall.shop.switch(latencyMedianMs=400)
        paying = threads.submit(lambda: outcome(buyer.send("PATCH", COMPLETE, json=checkout.body)))
        assert until(lambda: hall.rows(confirming, checkout.payment_id) != [])
        assert outcome(hall.shop.cancel(buyer, booking_id)) == (200, 0)
        assert paying.result() in {(200, 0), (400, 4006)}
        hall.shop.switch(latencyMedianMs=0)
    assert until(lambda: hall.shop.bookings([booking_id]) == ["CANCELED"])
    assert hall.shop.given_back(checkout) == hall.shop.approved(checkout) == ([] if fault else [PRICE])


def test_cancelling_a_payment_is_one_message_for_each_of_its_bookings(hall: Hall) -> None:
    buyer = hall.shop.make.person()
    ids, checkout = hall.shop.buy(buyer, 3)
    hall.shop.cancel(buyer, ids[0])
    assert buyer.patch(f"{PAYMENTS}/{checkout.payment_id}", None) == {}
    assert until(lambda: hall.shop.payment_status(checkout.payment_id) == "CANCELED")
    assert hall.shop.bookings(ids) == ["CANCELED"] * 3
    assert hall.shop.given_back(checkout) == [PRICE] * 3
    keys = [str(booking_id) for booking_id in ids]
    assert len(hall.rows("SELECT 1 FROM outbox WHERE key = ANY(%s)", keys)) == 3
