"""One seat, and many who want it at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest

from tests.contract.client import Api, outcome
from tests.contract.making import SCHEDULES, SEATS, Maker
from tests.contract.ordering import BOOKINGS, Shop

BUYERS = 1_000

WON, TAKEN, BUSY = (200, 0), (400, 4000), (503, 5000)


async def rush(gateway_url: str, buyers: list[Api], bodies: list[dict[str, Any]]) -> list[tuple[int, int]]:
    """Status and code of every request; all of them are under way at once.

    Raises:
        aiohttp.ClientError, TimeoutError: a request got no answer.
    """

    async def book(session: aiohttp.ClientSession, buyer: Api, body: dict[str, Any]) -> tuple[int, int]:
        headers = {"authorization": f"Bearer {buyer.token}"}
        async with session.post(gateway_url + BOOKINGS, json=body, headers=headers) as answer:
            if answer.status == 503:
                assert int(answer.headers["retry-after"]) >= 1
            if answer.status != 202:
                return answer.status, (await answer.json())["code"]
            ticket = gateway_url + answer.headers["location"]
        while True:  # until the session's time is over
            async with session.get(ticket, headers=headers) as answer:
                assert answer.status in (200, 503), await answer.text()
                place = (await answer.json())["data"]
                if answer.status == 200 and place["result"] is not None:
                    return place["result"]["httpStatus"], place["result"]["body"]["code"]
                await asyncio.sleep(int(answer.headers["retry-after"]))

    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        return await asyncio.gather(*(book(session, *one) for one in zip(buyers, bodies, strict=True)))


def test_of_a_thousand_buyers_of_one_seat_exactly_one_gets_it(shop: Shop, make: Maker) -> None:
    (seat,) = shop.seats()
    buyers = [make.person() for _ in range(BUYERS)]
    bodies = [shop.request(buyer, [seat]) for buyer in buyers]

    answers = asyncio.run(rush(shop.platform.gateway_url, buyers, bodies))

    outcomes = Counter(answers)
    assert set(outcomes) <= {WON, TAKEN, BUSY}, outcomes
    assert outcomes.total() == BUYERS
    row, column = seat.split()
    rows = make.rows(
        "order",
        "SELECT status, user_id FROM bookings WHERE schedule_id = %s AND seat_row = %s AND seat_column = %s",
        shop.schedule["id"], row, column,
    )  # fmt: skip
    assert [row["status"] for row in rows] == ["PENDING"]
    (winner,) = (buyer for buyer in buyers if buyer.user_id == rows[0]["user_id"])
    # Nobody else is told to have won; the winner may have been told, in the rush, that the answer takes too long.
    told = dict(zip(buyers, answers, strict=True))
    assert told.pop(winner) in (WON, BUSY), outcomes
    assert WON not in told.values(), outcomes
    (won,) = winner.get(f"{BOOKINGS}/me/{winner.user_id}")["content"]
    assert won["seat"] == seat
    # Both look-ups show it taken: order-service's, and concert-service's, which asks it.
    assert seat in winner.get(f"{SEATS}/{shop.schedule['id']}")
    assert seat in winner.get(f"{SCHEDULES}/{shop.schedule['id']}")["seatList"]


def test_of_overlapping_requests_no_seat_is_sold_twice(shop: Shop, make: Maker) -> None:
    """Everybody wants three of ten seats: whoever gets one gets all three."""
    seats = shop.seats(10)
    buyers = [make.person() for _ in range(200)]
    bodies = [
        shop.request(buyer, [seats[(number + step) % 10] for step in (0, 3, 7)]) for number, buyer in enumerate(buyers)
    ]

    outcomes = Counter(asyncio.run(rush(shop.platform.gateway_url, buyers, bodies)))

    assert set(outcomes) <= {WON, TAKEN, BUSY}, outcomes
    assert 1 <= outcomes[WON] <= 3
    held = make.rows(
        "order",
        "SELECT user_id, array_agg(seat_row || ' ' || seat_column ORDER BY id) AS seats FROM bookings"
        " WHERE user_id = ANY(%s) GROUP BY user_id",
        [buyer.user_id for buyer in buyers],
    )
    assert len(held) == outcomes[WON]
    assert all(len(row["seats"]) == 3 for row in held)
    sold = [seat for row in held for seat in row["seats"]]
    assert len(sold) == len(set(sold))


def test_buyers_of_different_seats_all_get_theirs(shop: Shop, make: Maker) -> None:
    buyers = [make.person() for _ in range(60)]

    with ThreadPoolExecutor(20) as threads:
        answers = list(
            threads.map(
                lambda buyer: outcome(buyer.send("POST", BOOKINGS, json=shop.request(buyer, shop.seats()))), buyers
            )
        )

    assert answers == [WON] * len(buyers)
    booked = "SELECT DISTINCT user_id FROM bookings WHERE user_id = ANY(%s)"
    assert len(make.rows("order", booked, [buyer.user_id for buyer in buyers])) == len(buyers)


@pytest.mark.parametrize("name", ["order_seats_booked_total", "order_seat_conflicts_total"])
def test_sales_and_conflicts_are_counted(name: str, shop: Shop, buyer: Api) -> None:
    before = shop.count(name)
    seats = shop.seats(2)
    buyer.post(BOOKINGS, shop.request(buyer, seats))
    buyer.refused(400, 4000, "POST", BOOKINGS, json=shop.request(buyer, seats))
    assert shop.count(name) - before == (2 if "booked" in name else 1)
