"""When the provider does not say what it did, or order-service dies while asking: found out, and right in the end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.contract.client import Api, outcome, refused
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Shop, eventually


@pytest.fixture
def guest(hasty: Shop) -> Api:
    """A buyer on the stage that waits for nothing."""
    return hasty.make.person()


def unavailable(answer: httpx.Response) -> None:
    refused(answer, 503, 5000)
    assert int(answer.headers["retry-after"]) >= 1


def settled(shop: Shop, payment_id: int, status: str) -> bool:
    return eventually(lambda: shop.payment_status(payment_id) == status)


def workers_take_turns(shop: Shop, payment_id: int) -> None:
    """The provider is asked about the payment once more, in vain, and then what is overdue is given up."""
    (before,) = shop.make.rows("order", "SELECT confirm_attempts FROM payments WHERE id = %s", payment_id)
    shop.hurry([payment_id])
    again = "SELECT 1 FROM payments WHERE id = %s AND confirm_attempts > %s"
    assert eventually(lambda: shop.make.rows("order", again, payment_id, before["confirm_attempts"]) != [])
    shop.give_up_what_is_overdue()


@pytest.mark.parametrize("fault", ["error-", "lost-"])
def test_a_worker_finds_out_what_became_of_a_payment(fault: str, hasty: Shop, guest: Api) -> None:
    ids, checkout = hasty.checked_out(guest, 2, fault)

    unavailable(guest.send("PATCH", COMPLETE, json=checkout.body))

    assert settled(hasty, checkout.payment_id, "COMPLETED")
    assert hasty.bookings(ids) == ["CONFIRMED", "CONFIRMED"]
    assert hasty.approved(checkout) == [2 * PRICE]
    assert guest.patch(COMPLETE, checkout.body) == {}
    assert hasty.approved(checkout) == [2 * PRICE]


@pytest.mark.parametrize("fault", ["error-", "lost-"])
def test_asking_again_at_once_finds_out_too(fault: str, hasty: Shop, guest: Api) -> None:
    ids, checkout = hasty.checked_out(guest, 1, fault)
    unavailable(guest.send("PATCH", COMPLETE, json=checkout.body))
    assert guest.patch(COMPLETE, checkout.body) == {}
    assert hasty.bookings(ids) == ["CONFIRMED"]
    assert hasty.approved(checkout) == [PRICE]


def test_a_payment_in_doubt_outlives_the_hold_on_its_seats(hasty: Shop, guest: Api) -> None:
    ids, checkout = hasty.checked_out(guest)
    with hasty.provider_faults(confirmDown=True):
        unavailable(guest.send("PATCH", COMPLETE, json=checkout.body))
        hasty.age(ids)
        for _ in range(3):
            workers_take_turns(hasty, checkout.payment_id)
            assert hasty.bookings(ids) == ["PENDING"]
            assert hasty.payment_status(checkout.payment_id) == "WAITING"
        (seat,) = (booking["seat"] for booking in guest.get(f"{BOOKINGS}/me/{guest.user_id}")["content"])
        other = hasty.make.person()
        other.refused(400, 4000, "POST", BOOKINGS, json=hasty.request(other, [seat]))
        unavailable(hasty.cancel(guest, ids[0]))
        unavailable(guest.send("PATCH", f"{PAYMENTS}/{checkout.payment_id}"))
        assert hasty.bookings(ids) == ["PENDING"]
    hasty.hurry([checkout.payment_id])
    assert settled(hasty, checkout.payment_id, "COMPLETED")
    assert hasty.bookings(ids) == ["CONFIRMED"]
    assert hasty.approved(checkout) == [PRICE]


def test_a_payment_in_doubt_that_is_declined_gives_its_seats_up(hasty: Shop, guest: Api) -> None:
    """The hold is over by the time the provider says no."""
    ids, checkout = hasty.checked_out(guest, fault="decline-")
    with hasty.provider_faults(confirmDown=True):
        unavailable(guest.send("PATCH", COMPLETE, json=checkout.body))
        hasty.age(ids)
        workers_take_turns(hasty, checkout.payment_id)
        assert hasty.bookings(ids) == ["PENDING"]
    hasty.hurry([checkout.payment_id])
    assert settled(hasty, checkout.payment_id, "FAILED")
    assert eventually(lambda: hasty.bookings(ids) == ["CANCELED"])
    assert hasty.approved(checkout) == []


@pytest.mark.parametrize("fault", ["cancelerror-", "cancellost-"])
def test_a_worker_finishes_a_refund_and_it_is_done_once(fault: str, hasty: Shop, guest: Api) -> None:
    ids, checkout = hasty.buy(guest, 2, fault)

    hasty.begun(hasty.cancel(guest, ids[0]))

    assert hasty.bookings(ids)[0] in {"CANCEL_REQUESTED", "CANCELED"}
    assert eventually(lambda: hasty.bookings(ids) == ["CANCELED", "CONFIRMED"])
    assert hasty.given_back(checkout) == [PRICE]
    assert hasty.refunds(checkout.payment_id) == [(ids[0], PRICE, "DONE")]
    assert hasty.payment_status(checkout.payment_id) == "COMPLETED"


def test_a_cancellation_goes_on_when_it_is_asked_for_again(hasty: Shop, guest: Api) -> None:
    (booking_id,), checkout = hasty.buy(guest)
    with hasty.provider_faults(cancelDown=True):
        for _ in range(2):
            hasty.begun(hasty.cancel(guest, booking_id))
            assert hasty.bookings([booking_id]) == ["CANCEL_REQUESTED"]
    # It, or the worker before it.
    assert outcome(hasty.cancel(guest, booking_id)) in {(200, 0), (400, 4002)}
    assert hasty.ends([booking_id], "CANCELED")
    assert hasty.given_back(checkout) == [PRICE]


def test_a_canceled_payment_is_refunded_whole_once_the_provider_is_back(hasty: Shop, guest: Api) -> None:
    ids, checkout = hasty.buy(guest, 3)
    with hasty.provider_faults(cancelDown=True):
        hasty.begun(guest.send("PATCH", f"{PAYMENTS}/{checkout.payment_id}"))
        assert hasty.bookings(ids) == ["CANCEL_REQUESTED"] * 3
    assert settled(hasty, checkout.payment_id, "CANCELED")
    assert hasty.bookings(ids) == ["CANCELED"] * 3
    assert hasty.given_back(checkout) == [PRICE] * 3


def test_a_refund_that_was_done_elsewhere_is_not_taken_for_ours(hasty: Shop, guest: Api) -> None:
    """Somebody gave the money back by hand: no refund of ours was done, and a person has to look at it."""
    (booking_id,), checkout = hasty.buy(guest)
    by_hand = {"cancelReason": "by hand"}
    assert hasty.provider.post(f"/v1/payments/{checkout.payment_key}/cancel", json=by_hand).status_code == 200
    for _ in range(2):
        hasty.begun(hasty.cancel(guest, booking_id))
    assert hasty.bookings([booking_id]) == ["CANCEL_REQUESTED"]
    (row,) = hasty.make.rows("order", "SELECT status, problem FROM refunds WHERE booking_id = %s", booking_id)
    assert (row["status"], row["problem"]) == ("REQUESTED", "ALREADY_CANCELED_PAYMENT")
    assert hasty.given_back(checkout) == [PRICE]


def test_a_refund_of_ours_is_recognised_without_the_providers_memory_of_its_key(hasty: Shop, guest: Api) -> None:
    """As after the provider's keys have expired: its record of the refund says whose it is."""
    (booking_id,), checkout = hasty.buy(guest)
    ours = {"cancelReason": f"예매 취소 (refund-{booking_id})", "cancelAmount": PRICE}
    assert hasty.provider.post(f"/v1/payments/{checkout.payment_key}/cancel", json=ours).status_code == 200
    assert outcome(hasty.cancel(guest, booking_id)) == (200, 0)
    assert hasty.bookings([booking_id]) == ["CANCELED"]
    assert hasty.given_back(checkout) == [PRICE]


@pytest.mark.parametrize("moment", ["before the provider is done", "after it, before the commit"])
def test_money_and_seats_agree_after_a_crash_of_order_service(moment: str, hasty: Shop, guest: Api) -> None:
    ids, checkout = hasty.checked_out(guest, 2)
    (order,) = hasty.platform.processes["order"]
    with hasty.provider_faults(), ThreadPoolExecutor(1) as threads:
        if moment.startswith("before"):
            hasty.switch(latencyMedianMs=700)
        else:
            hasty.switch(latencyMedianMs=0, lostAnswerRate=1)
        paying = threads.submit(guest.send, "PATCH", COMPLETE, json=checkout.body)
        if moment.startswith("before"):
            query = "SELECT confirm_due_at FROM payments WHERE id = %s"
            assert eventually(lambda: hasty.make.rows("order", query, checkout.payment_id)[0]["confirm_due_at"])
        else:
            assert eventually(lambda: hasty.approved(checkout) != [])
        order.kill()
        unavailable(paying.result())
    order.respawn()
    assert settled(hasty, checkout.payment_id, "COMPLETED")
    assert hasty.bookings(ids) == ["CONFIRMED", "CONFIRMED"]
    assert hasty.approved(checkout) == [2 * PRICE]


def test_a_refund_is_done_once_after_a_crash_of_order_service(hasty: Shop, guest: Api) -> None:
    """Of its worker, where that is who refunds."""
    (booking_id,), checkout = hasty.buy(guest)
    (refunding,) = hasty.platform.processes["canceller" if hasty.refunds_later else "order"]
    with hasty.provider_faults(lostAnswerRate=1), ThreadPoolExecutor(1) as threads:
        canceling = threads.submit(hasty.cancel, guest, booking_id)
        assert eventually(lambda: hasty.given_back_by_now(checkout) != [])
        refunding.kill()
        hasty.begun(canceling.result())
    refunding.respawn()
    assert eventually(lambda: hasty.bookings([booking_id]) == ["CANCELED"])
    assert hasty.given_back(checkout) == [PRICE]
    assert hasty.payment_status(checkout.payment_id) == "CANCELED"


def test_a_dead_provider_keeps_nobody_from_booking(hasty: Shop, guest: Api) -> None:
    _, checkout = hasty.checked_out(guest)
    (paid,), bought = hasty.buy(guest)
    (provider,) = hasty.platform.processes["payment"]
    provider.kill()
    try:
        unavailable(guest.send("PATCH", COMPLETE, json=checkout.body))
        hasty.begun(hasty.cancel(guest, paid))
        assert len(hasty.book(guest, 2)) == 2
        guest.get(f"{PAYMENTS}/{bought.payment_id}")
    finally:
        provider.respawn()
    assert settled(hasty, checkout.payment_id, "COMPLETED")
    assert eventually(lambda: hasty.bookings([paid]) == ["CANCELED"])
    assert hasty.given_back(bought) == [PRICE]


def test_no_money_is_kept_for_a_seat_that_was_given_up(hasty: Shop, guest: Api) -> None:
    """However a booking got lost while its payment was being confirmed: by hand, here."""
    ids, checkout = hasty.checked_out(guest, 2)
    with hasty.provider_faults(confirmDown=True):
        unavailable(guest.send("PATCH", COMPLETE, json=checkout.body))
        hasty.make.rows("order", "UPDATE bookings SET status = 'CANCELED' WHERE id = %s RETURNING id", ids[0])
    assert settled(hasty, checkout.payment_id, "COMPLETED")
    assert eventually(lambda: hasty.refunds(checkout.payment_id) == [(ids[0], PRICE, "DONE")])
    assert hasty.given_back(checkout) == [PRICE]
    assert hasty.bookings(ids) == ["CANCELED", "CONFIRMED"]


def test_no_money_is_kept_for_a_payment_that_was_taken_for_failed(hasty: Shop, guest: Api) -> None:
    """However it came to that while the provider was at work: by hand, here. Its seats wait for another payment."""
    ids, checkout = hasty.checked_out(guest, 2)
    failed = "UPDATE payments SET status = 'FAILED', confirm_due_at = NULL WHERE id = %s RETURNING id"
    with hasty.provider_faults(), ThreadPoolExecutor(1) as threads:
        hasty.switch(latencyMedianMs=500, sigma=0)
        paying = threads.submit(guest.send, "PATCH", COMPLETE, json=checkout.body)
        query = "SELECT confirm_due_at FROM payments WHERE id = %s"
        assert eventually(lambda: hasty.make.rows("order", query, checkout.payment_id)[0]["confirm_due_at"])
        hasty.make.rows("order", failed, checkout.payment_id)
        again = hasty.payment(guest, ids)
        refused(paying.result(), 400, 4006)
    assert eventually(lambda: hasty.given_back(checkout) == [2 * PRICE])
    assert eventually(lambda: hasty.refunds(checkout.payment_id) == [(None, 2 * PRICE, "DONE")])
    assert hasty.payment_status(checkout.payment_id) == "FAILED"
    paid = hasty.check_out(again)
    assert guest.patch(COMPLETE, paid.body) == {}
    assert hasty.bookings(ids) == ["CONFIRMED", "CONFIRMED"]
    assert hasty.approved(paid) == [2 * PRICE]


def test_a_payment_that_another_found_paid_is_paid_to_who_was_refused(hasty: Shop, guest: Api) -> None:
    """The provider says no to this request, but the payment has been settled meanwhile: by hand, here."""
    _, checkout = hasty.checked_out(guest, fault="decline-")
    paid = "UPDATE payments SET status = 'COMPLETED', confirm_due_at = NULL WHERE id = %s RETURNING id"
    with hasty.provider_faults(), ThreadPoolExecutor(1) as threads:
        hasty.switch(latencyMedianMs=500, sigma=0)
        paying = threads.submit(guest.send, "PATCH", COMPLETE, json=checkout.body)
        query = "SELECT confirm_due_at FROM payments WHERE id = %s"
        assert eventually(lambda: hasty.make.rows("order", query, checkout.payment_id)[0]["confirm_due_at"])
        hasty.make.rows("order", paid, checkout.payment_id)
        assert outcome(paying.result()) == (200, 0)
    assert hasty.payment_status(checkout.payment_id) == "COMPLETED"
