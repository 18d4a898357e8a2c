"""Lists of bookings and payments: whose they are, what they are filtered by, and the names in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from common.identity import Role
from tests.contract.client import Api
from tests.contract.making import Account, Maker, number
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Shop, eventually

pytestmark = pytest.mark.unchanged_code("order/listings.py", "order/people.py")


@dataclass(frozen=True)
class Season:
    """Two sellers with a concert each, and two buyers who have been to both; one seat was never paid for."""

    sellers: tuple[Api, Api]
    concerts: tuple[Any, Any]
    buyers: tuple[Account, Account]
    manager: Api
    sold: list[int]
    pending: int


@pytest.fixture(scope="module")
def season(shop: Shop, make: Maker) -> Season:
    sellers = make.person(Role.SELLER), make.person(Role.SELLER)
    word = f"x{number()}x"
    concerts = tuple(
        make.concert(seller, concertName=f"{word} {name}", price=PRICE)
        for seller, name in zip(sellers, ("Rock", "100% Jazz/Swing"), strict=True)
    )
    buyers = make.account(), make.account()
    sold = []
    for row, concert in enumerate(concerts, start=1):
        schedule = make.schedule(concert)
        for column, buyer in enumerate(buyers, start=1):
            body = {
                "scheduleId": schedule["id"], "userId": buyer.api.user_id, "price": PRICE, "seat": [f"{row} {column}"],
            }  # fmt: skip
            (booked,) = buyer.api.post(BOOKINGS, body)
            checkout = shop.check_out(shop.payment(buyer.api, [booked["id"]]))
            assert buyer.api.patch(COMPLETE, checkout.body) == {}
            sold.append(booked["id"])
    body = {"scheduleId": schedule["id"], "userId": buyers[0].api.user_id, "price": PRICE, "seat": ["9 9"]}
    (held,) = buyers[0].api.post(BOOKINGS, body)
    first, second = concerts
    return Season(sellers, (first, second), buyers, make.person(Role.MANAGER), sold, held["id"])


def ids(page: Any) -> list[int]:
    return [row["id"] for row in page["content"]]


def test_ones_own_bookings_include_those_that_wait_for_payment(season: Season, make: Maker) -> None:
    buyer = season.buyers[0].api
    page = buyer.get(f"{BOOKINGS}/me/{buyer.user_id}", params={"sort": "id,desc"})
    assert ids(page) == [season.pending, season.sold[2], season.sold[0]]
    first = season.concerts[0]
    (row,) = make.rows("order", "SELECT payment_id, schedule_id FROM bookings WHERE id = %s", season.sold[0])
    assert page["content"][2] == {
        "id": season.sold[0], "concertId": first["id"], "scheduleId": row["schedule_id"],
        "paymentId": row["payment_id"], "userId": buyer.user_id, "price": PRICE, "status": "CONFIRMED", "seat": "1 1",
        "concertName": first["concertName"], "runtime": first["runtime"],
    }  # fmt: skip
    assert page["content"][0]["paymentId"] is None
    assert season.manager.get(f"{BOOKINGS}/me/{buyer.user_id}", params={"sort": "id,desc"}) == page
    for other in (season.buyers[1].api, season.sellers[0]):
        other.refused(403, 1000, "GET", f"{BOOKINGS}/me/{buyer.user_id}")


def test_sellers_see_what_they_have_sold(season: Season) -> None:
    for seller, sold in zip(season.sellers, (season.sold[:2], season.sold[2:]), strict=True):
        page = seller.get(f"{BOOKINGS}/seller/{seller.user_id}")
        assert ids(page) == sold
        assert season.manager.get(f"{BOOKINGS}/seller/{seller.user_id}") == page
    path = f"{BOOKINGS}/seller/{season.sellers[0].user_id}"
    for other in (season.sellers[1], season.buyers[0].api):
        other.refused(403, 1000, "GET", path)
    assert ids(season.manager.get(f"{BOOKINGS}/seller/999999999")) == []


def test_a_buyer_is_no_seller(season: Season) -> None:
    buyer = season.buyers[0].api
    for what in (BOOKINGS, PAYMENTS):
        buyer.refused(403, 1000, "GET", f"{what}/seller/{buyer.user_id}")
        buyer.refused(403, 1000, "GET", what)
        season.sellers[0].refused(403, 1000, "GET", what)


def test_managers_filter_by_nickname_and_concert(season: Season) -> None:
    first, second = season.concerts
    nickname = season.buyers[1].nickname
    word = first["concertName"].split()[0]

    def found(**filters: str) -> list[int]:
        return ids(season.manager.get(BOOKINGS, params={key.replace("_", "-"): text for key, text in filters.items()}))

    assert set(found(concert_name=word)) == set(season.sold)
    assert found(concert_name=first["concertName"].upper()) == season.sold[:2]
    assert found(concert_name=second["concertName"]) == season.sold[2:]
    assert season.sold[1] in found(nickname=nickname)
    assert found(nickname=nickname, concert_name=word) == [season.sold[1], season.sold[3]]
    assert found(nickname="zzzzzzzzzz") == found(concert_name="no such concert") == []
    assert found(nickname=nickname, concert_name="no such concert") == []
    everything = found(nickname="", concert_name="", size="100", sort="id,desc")
    assert set(season.sold) <= set(everything)
    assert season.pending not in everything


def test_sellers_filter_too(season: Season) -> None:
    seller = season.sellers[1]
    path = f"{BOOKINGS}/seller/{seller.user_id}"
    first, second = season.concerts
    assert ids(seller.get(path, params={"concert-name": second["concertName"]})) == season.sold[2:]
    assert ids(seller.get(path, params={"concert-name": first["concertName"]})) == []
    assert ids(seller.get(path, params={"nickname": season.buyers[0].nickname})) == [season.sold[2]]


STRANGE = [
    "../../users/all",
    "a/b",
    "..",
    ".",
    "%",
    "%2F",
    "' OR 1=1 --",
    "<b>",
    "봄 🎻",
    "?x=1",
    "#",
    "\u200b",
    "x" * 500,
]


@pytest.mark.parametrize("word", STRANGE, ids=repr)
def test_a_strange_word_is_a_word_like_any_other(word: str, season: Season) -> None:
    """It is sent on to other services in a path, and is neither a path nor a pattern there."""
    assert ids(season.manager.get(BOOKINGS, params={"nickname": word})) == []
    for seller, concert, sold in zip(season.sellers, season.concerts, (season.sold[:2], season.sold[2:]), strict=True):
        page = seller.get(f"{BOOKINGS}/seller/{seller.user_id}", params={"concert-name": word})
        assert ids(page) == (sold if word in concert["concertName"] else [])
    season.manager.get(BOOKINGS, params={"concert-name": word})


def test_pages_and_order(season: Season) -> None:
    buyer = season.buyers[0].api
    path = f"{BOOKINGS}/me/{buyer.user_id}"
    whole = buyer.get(path, params={"sort": ["status,desc", "id,asc"]})
    assert ids(whole) == [season.pending, season.sold[0], season.sold[2]]
    assert (whole["totalElements"], whole["number"], whole["size"], whole["last"]) == (3, 0, 20, True)
    parts = [buyer.get(path, params={"size": 2, "page": page, "sort": ["status,desc", "id,asc"]}) for page in range(3)]
    assert [ids(part) for part in parts] == [ids(whole)[:2], ids(whole)[2:], []]
    assert {part["totalElements"] for part in parts} == {3}
    for bad in ({"sort": "seat"}, {"sort": "isDeleted"}, {"size": 0}, {"size": 101}, {"page": -1}):
        buyer.refused(400, 1001, "GET", path, params=bad)
    buyer.refused(400, 1001, "GET", f"{BOOKINGS}/me/abc")


def test_payments_are_listed_for_whom_they_concern(season: Season) -> None:
    buyer, seller = season.buyers[0], season.sellers[0]
    own = buyer.api.get(f"{PAYMENTS}/me/{buyer.api.user_id}")
    assert own["totalElements"] == 2
    shown = own["content"][0]
    assert shown.pop("card").count("*") >= 4
    assert shown.pop("scheduleId") > 0
    assert shown == {
        "totalPrice": PRICE, "status": "COMPLETED", "concertName": season.concerts[0]["concertName"],
        "concertId": season.concerts[0]["id"], "userId": buyer.api.user_id,
    }  # fmt: skip
    assert seller.get(f"{PAYMENTS}/seller/{seller.user_id}")["totalElements"] == 2
    assert season.manager.get(f"{PAYMENTS}/seller/{seller.user_id}")["totalElements"] == 2
    every = season.manager.get(PAYMENTS, params={"nickname": buyer.nickname, "sort": "concertId,desc"})["content"]
    mine = [payment for payment in every if payment["userId"] == buyer.api.user_id]
    assert [payment["concertId"] for payment in mine] == [season.concerts[1]["id"], season.concerts[0]["id"]]
    assert season.manager.get(PAYMENTS)["totalElements"] >= 4
    season.buyers[1].api.refused(403, 1000, "GET", f"{PAYMENTS}/me/{buyer.api.user_id}")
    season.sellers[1].refused(403, 1000, "GET", f"{PAYMENTS}/seller/{seller.user_id}")
    season.manager.refused(400, 1001, "GET", PAYMENTS, params={"sort": "paymentKey"})


def test_what_is_left_of_a_deleted_concert_has_no_name(shop: Shop, make: Maker, buyer: Api, manager: Api) -> None:
    concert = make.concert(price=PRICE)
    schedule = make.schedule(concert)
    body = {"scheduleId": schedule["id"], "userId": buyer.user_id, "price": PRICE, "seat": ["1 1"]}
    (booked,) = buyer.post(BOOKINGS, body)
    payment_id = shop.payment(buyer, [booked["id"]])
    shop.cancel(buyer, booked["id"])
    manager.delete(f"/concert-service/concerts/{concert['id']}")

    (row,) = buyer.get(f"{BOOKINGS}/me/{buyer.user_id}")["content"]
    assert (row["concertName"], row["runtime"], row["status"]) == (None, None, "CANCELED")
    assert buyer.get(f"{PAYMENTS}/me/{buyer.user_id}")["content"][0]["concertName"] is None

    def nameless(path: str) -> bool:
        return buyer.get(path)["concertName"] is None

    # Each instance of order-service may remember what it was told a second ago.
    for path in (f"{BOOKINGS}/{booked['id']}", f"{PAYMENTS}/{payment_id}"):
        assert eventually(partial(nameless, path), 1.5)
