"""Booking seats: who may, what is refused, and what comes back."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest

from common.identity import Role
from tests.contract.client import Api
from tests.contract.making import CONCERTS, SCHEDULES, SEATS, Maker
from tests.contract.ordering import BOOKINGS, PRICE, Shop, eventually, over_show

# What order-service remembers of a show, and half a second for the machine.
STALE_SECONDS = 1.5


def taken(shop: Shop, api: Api) -> set[str]:
    """The seats of the show that cannot be booked."""
    return set(api.get(f"{SEATS}/{shop.schedule['id']}"))


def test_booked_seats_are_held_and_taken(shop: Shop, buyer: Api, make: Maker) -> None:
    seats = shop.seats(3)

    booked = buyer.post(BOOKINGS, shop.request(buyer, seats, concertId=999))

    assert [list(booking) for booking in booked] == [
        ["id", "concertId", "scheduleId", "userId", "price", "status", "seat"]
    ] * 3
    common = {
        "concertId": shop.schedule["concertId"], "scheduleId": shop.schedule["id"], "userId": buyer.user_id,
        "price": PRICE, "status": "PENDING",
    }  # fmt: skip
    ids = [booking.pop("id") for booking in booked]
    assert booked == [{**common, "seat": seat} for seat in seats]
    assert set(seats) <= taken(shop, buyer)
    rows = make.rows("order", "SELECT * FROM bookings WHERE user_id = %s ORDER BY id", buyer.user_id)
    assert [row["id"] for row in rows] == sorted(ids)
    assert [row["created_by"] for row in rows] == [buyer.user_id] * 3
    assert all(row["expires_at"] - row["created_at"] == timedelta(minutes=5) for row in rows)


def test_one_booking_is_shown_with_its_show(shop: Shop, buyer: Api, make: Maker) -> None:
    (seat,) = shop.seats()
    (booked,) = buyer.post(BOOKINGS, shop.request(buyer, [seat]))
    concert = buyer.get(f"{CONCERTS}/{shop.schedule['concertId']}")
    venue = buyer.get(f"/concert-service/stages/{shop.schedule['stageId']}")

    expected = {
        "userId": buyer.user_id, "price": PRICE, "status": "PENDING", "seat": seat, "scheduleId": shop.schedule["id"],
        "concertId": concert["id"], "paymentId": None, "concertName": concert["concertName"],
        "runtime": concert["runtime"], "stageName": venue["name"], "location": venue["location"],
        "concertDate": shop.schedule["concertDate"], "concertTime": shop.schedule["concertTime"],
    }  # fmt: skip
    assert buyer.get(f"{BOOKINGS}/{booked['id']}") == expected
    assert make.person(Role.MANAGER).get(f"{BOOKINGS}/{booked['id']}") == expected


def test_a_booking_is_its_users_and_the_managers_business(shop: Shop, buyer: Api, seller: Api, nobody: Api) -> None:
    (booking_id,) = shop.book(buyer)
    for method, path in (("GET", f"{BOOKINGS}/{booking_id}"), ("PATCH", f"{BOOKINGS}/cancel/{booking_id}")):
        seller.refused(403, 1000, method, path)
        nobody.refused(401, 2001, method, path)
    assert shop.bookings([booking_id]) == ["PENDING"]


@pytest.mark.parametrize("role", Role)
def test_nobody_books_for_somebody_else(role: Role, shop: Shop, buyer: Api, make: Maker) -> None:
    seats = shop.seats()
    make.person(role).refused(403, 1000, "POST", BOOKINGS, json=shop.request(buyer, seats))
    assert not taken(shop, buyer).intersection(seats)


@pytest.mark.parametrize("role", Role)
def test_everybody_books_for_themselves(role: Role, shop: Shop, make: Maker) -> None:
    assert len(shop.book(make.person(role), 10)) == 10


MALFORMED = [
    "", " ", "1", "1 1 1", "0 0", "0 1", "1 0", "-1 1", "1 -1", "+1 1", "01 1", "1 01", "1  1", " 1 1", "1 1 ", "1,1",
    "1\t1", "1\n1", "1 1\n", "a b", "A1", "1.0 1", "1e2 1", "١ ١", "½ 1", "1 1; DROP TABLE bookings", "<b>1</b> 1",
    "9" * 5000 + " 1", "1001 1", "1 1011", "999999999 1", "2147483648 1", "9223372036854775808 1",
]  # fmt: skip


@pytest.mark.parametrize("seat", MALFORMED, ids=lambda seat: repr(seat[:20]))
def test_a_seat_that_is_none_is_refused(seat: str, shop: Shop, buyer: Api) -> None:
    good = shop.seats()
    for seats in ([seat], [*good, seat]):
        buyer.refused(400, 4005, "POST", BOOKINGS, json=shop.request(buyer, seats))
    assert not taken(shop, buyer).intersection(good)


def test_the_last_seat_of_the_venue_is_one(make: Maker, buyer: Api) -> None:
    schedule = make.schedule(make.concert(price=PRICE), make.venue(row=3, col=4))
    body = {"scheduleId": schedule["id"], "userId": buyer.user_id, "price": PRICE}
    for outside in ("4 4", "3 5", "4 1", "1 5"):
        buyer.refused(400, 4005, "POST", BOOKINGS, json={**body, "seat": [outside]})
    assert len(buyer.post(BOOKINGS, {**body, "seat": ["3 4", "1 1"]})) == 2


def test_the_same_seat_twice_is_refused(shop: Shop, buyer: Api) -> None:
    first, second = shop.seats(2)
    buyer.refused(400, 4004, "POST", BOOKINGS, json=shop.request(buyer, [first, second, first]))
    assert not taken(shop, buyer).intersection({first, second})


@pytest.mark.parametrize(
    "change",
    [
        {"seat": []}, {"seat": None}, {"seat": "1 1"}, {"seat": [1]}, {"seat": [["1 1"]]}, {"seat": [None]},
        {"seat": [f"1 {column}" for column in range(1, 12)]}, {"price": 0}, {"price": -1}, {"price": "110000"},
        {"price": 110000.5}, {"price": True}, {"price": 2**31}, {"price": None}, {"scheduleId": "1"},
        {"scheduleId": None}, {"scheduleId": 2**63}, {"userId": "1"}, {"userId": None}, {"userId": 2**63},
    ],
    ids=str,
)  # fmt: skip
def test_a_request_of_another_shape_is_invalid(change: dict[str, Any], shop: Shop, buyer: Api, make: Maker) -> None:
    before = make.count("bookings")
    buyer.refused(400, 1001, "POST", BOOKINGS, json=shop.request(buyer, shop.seats()) | change)
    assert make.count("bookings") == before


@pytest.mark.parametrize("missing", ["scheduleId", "userId", "price", "seat"])
def test_every_field_is_needed(missing: str, shop: Shop, buyer: Api) -> None:
    body = shop.request(buyer, shop.seats())
    del body[missing]
    (problem,) = buyer.refused(400, 1001, "POST", BOOKINGS, json=body)
    assert problem["field"] == missing


@pytest.mark.parametrize("price", [1, PRICE - 1, PRICE + 1, 3 * PRICE])
def test_the_price_is_the_concerts(price: int, shop: Shop, buyer: Api) -> None:
    seats = shop.seats(3)
    (problem,) = buyer.refused(400, 1001, "POST", BOOKINGS, json=shop.request(buyer, seats, price=price))
    assert problem["field"] == "price"
    assert not taken(shop, buyer).intersection(seats)


def test_a_new_price_holds_within_a_second(make: Maker, seller: Api, buyer: Api) -> None:
    concert = make.concert(seller, price=1_000)
    schedule = make.schedule(concert)
    body = {"scheduleId": schedule["id"], "userId": buyer.user_id, "seat": ["1 1"]}
    buyer.post(BOOKINGS, {**body, "price": 1_000})
    seller.patch(f"{CONCERTS}/{concert['id']}", {"price": 2_000})
    changed = time.monotonic()

    def new_price_is_taken() -> bool:
        answer = buyer.send("POST", BOOKINGS, json={**body, "seat": ["1 2"], "price": 2_000})
        return answer.status_code == 200

    assert eventually(new_price_is_taken, STALE_SECONDS)
    # Every instance remembers for itself.
    assert eventually(lambda: time.monotonic() - changed > STALE_SECONDS)
    for _ in range(4):
        buyer.refused(400, 1001, "POST", BOOKINGS, json={**body, "seat": ["1 3"], "price": 1_000})


def test_an_unknown_show_cannot_be_booked(shop: Shop, buyer: Api) -> None:
    for schedule_id in (999_999_999, 0, -1):
        buyer.refused(404, 3000, "POST", BOOKINGS, json=shop.request(buyer, ["1 1"], scheduleId=schedule_id))


def test_a_deleted_show_cannot_be_booked(make: Maker, buyer: Api, manager: Api) -> None:
    schedule = make.schedule(make.concert(price=PRICE))
    manager.delete(f"{SCHEDULES}/{schedule['id']}")
    body = {"scheduleId": schedule["id"], "userId": buyer.user_id, "price": PRICE, "seat": ["1 1"]}
    buyer.refused(404, 3000, "POST", BOOKINGS, json=body)


def test_a_show_that_is_over_cannot_be_booked(make: Maker, buyer: Api) -> None:
    body = {"scheduleId": over_show(make)["id"], "userId": buyer.user_id, "price": PRICE, "seat": ["1 1"]}
    (problem,) = buyer.refused(400, 1001, "POST", BOOKINGS, json=body)
    assert problem["field"] == "scheduleId"


def test_a_taken_seat_is_refused_and_so_are_its_neighbours_in_the_request(shop: Shop, buyer: Api, make: Maker) -> None:
    seats = shop.seats(3)
    buyer.post(BOOKINGS, shop.request(buyer, seats[1:2]))
    for who in (buyer, make.person()):
        who.refused(400, 4000, "POST", BOOKINGS, json=shop.request(who, seats))
        who.refused(400, 4000, "POST", BOOKINGS, json=shop.request(who, seats[1:2]))
    assert taken(shop, buyer).intersection(seats) == {seats[1]}


@pytest.mark.parametrize("status", ["PENDING", "CONFIRMED", "CANCEL_REQUESTED"])
def test_a_seat_is_taken_in_every_status_but_canceled(status: str, shop: Shop, buyer: Api, make: Maker) -> None:
    (seat,) = shop.seats()
    make.booking(shop.schedule, seat, status)
    buyer.refused(400, 4000, "POST", BOOKINGS, json=shop.request(buyer, [seat]))


def test_a_canceled_seat_can_be_booked_again(shop: Shop, buyer: Api, make: Maker) -> None:
    (seat,) = shop.seats()
    for who in (buyer, make.person(), buyer):
        (booked,) = who.post(BOOKINGS, shop.request(who, [seat]))
        assert seat in taken(shop, buyer)
        assert who.patch(f"{BOOKINGS}/cancel/{booked['id']}", None) == {}
        assert seat not in taken(shop, buyer)


def test_bookings_that_do_not_exist(buyer: Api, manager: Api) -> None:
    for booking_id in (999_999_999, 0, -1):
        for who in (buyer, manager):
            who.refused(404, 4001, "GET", f"{BOOKINGS}/{booking_id}")
            who.refused(404, 4001, "PATCH", f"{BOOKINGS}/cancel/{booking_id}")
        manager.refused(404, 4001, "DELETE", f"{BOOKINGS}/{booking_id}")
    for name in ("abc", "1.5", 2**63):
        manager.refused(400, 1001, "GET", f"{BOOKINGS}/{name}")
        manager.refused(400, 1001, "PATCH", f"{BOOKINGS}/cancel/{name}")


def test_only_a_canceled_booking_is_deleted_and_by_managers_only(
    shop: Shop, buyer: Api, seller: Api, manager: Api, make: Maker
) -> None:
    (booking_id,) = shop.book(buyer)
    path = f"{BOOKINGS}/{booking_id}"
    for who in (buyer, seller):
        who.refused(403, 1000, "DELETE", path)
    for status in ("PENDING", "CONFIRMED", "CANCEL_REQUESTED"):
        make.rows("order", "UPDATE bookings SET status = %s WHERE id = %s RETURNING id", status, booking_id)
        manager.refused(400, 4002, "DELETE", path)
    make.rows("order", "UPDATE bookings SET status = 'CANCELED' WHERE id = %s RETURNING id", booking_id)

    assert manager.delete(path) == {}

    (row,) = make.rows("order", "SELECT * FROM bookings WHERE id = %s", booking_id)
    assert (row["is_deleted"], row["deleted_by"], row["deleted_at"] is not None) == (True, manager.user_id, True)
    for who in (buyer, manager):
        who.refused(404, 4001, "GET", path)
        who.refused(404, 4001, "PATCH", f"{BOOKINGS}/cancel/{booking_id}")
    manager.refused(404, 4001, "DELETE", path)
    assert buyer.get(f"{BOOKINGS}/me/{buyer.user_id}")["content"] == []
