"""A booking that nobody pays for is given up when its time is over."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.contract.client import Api
from tests.contract.conftest import HASTY
from tests.contract.making import SEATS
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Shop, eventually

HOLD = timedelta(seconds=float(HASTY["ORDER_HOLD_SECONDS"]))


@pytest.fixture
def guest(hasty: Shop) -> Api:
    """A buyer on the stage that waits for nothing."""
    return hasty.make.person()


def test_an_unpaid_booking_frees_its_seat(hasty: Shop, guest: Api) -> None:
    seats = hasty.seats(2)
    booked = guest.post(BOOKINGS, hasty.request(guest, seats))
    ids = [booking["id"] for booking in booked]
    other = hasty.make.person()
    other.refused(400, 4000, "POST", BOOKINGS, json=hasty.request(other, seats))

    held = hasty.make.rows("order", "SELECT expires_at - created_at AS time FROM bookings WHERE id = ANY(%s)", ids)
    assert [row["time"] for row in held] == [HOLD, HOLD]

    soon = "UPDATE bookings SET expires_at = now() + interval '0.5 seconds' WHERE id = ANY(%s) RETURNING id"
    hasty.make.rows("order", soon, ids)
    assert eventually(lambda: hasty.bookings(ids) == ["CANCELED", "CANCELED"])

    early = "SELECT 1 FROM bookings WHERE id = ANY(%s) AND updated_at < expires_at"
    assert hasty.make.rows("order", early, ids) == []
    assert not set(seats) & set(guest.get(f"{SEATS}/{hasty.schedule['id']}"))
    guest.refused(400, 4002, "PATCH", f"{BOOKINGS}/cancel/{ids[0]}")
    guest.refused(400, 1001, "POST", PAYMENTS, json={"userId": guest.user_id, "bookingIds": ids})
    assert len(other.post(BOOKINGS, hasty.request(other, seats))) == 2


def test_an_unpaid_payment_ends_with_its_bookings(hasty: Shop, guest: Api) -> None:
    ids, checkout = hasty.checked_out(guest, 2)
    hasty.age(ids)
    assert eventually(lambda: hasty.bookings(ids) == ["CANCELED", "CANCELED"])
    assert hasty.payment_status(checkout.payment_id) == "CANCELED"
    guest.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body)
    assert hasty.approved(checkout) == []


def test_a_payment_that_loses_one_booking_fails_and_frees_the_others(hasty: Shop, guest: Api) -> None:
    early, late = hasty.book(guest, 2)
    payment_id = hasty.payment(guest, [early, late])
    hasty.age([early])
    assert eventually(lambda: hasty.bookings([early, late]) == ["CANCELED", "PENDING"])
    assert eventually(lambda: hasty.payment_status(payment_id) == "FAILED")
    again = hasty.check_out(hasty.payment(guest, [late]))
    assert guest.patch(COMPLETE, again.body) == {}
    assert hasty.approved(again) == [PRICE]


def test_what_is_paid_does_not_expire(hasty: Shop, guest: Api) -> None:
    ids, _ = hasty.buy(guest, 2)
    hasty.age(ids)
    hasty.give_up_what_is_overdue()
    assert hasty.bookings(ids) == ["CONFIRMED", "CONFIRMED"]
