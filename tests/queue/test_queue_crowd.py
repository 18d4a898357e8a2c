"""A crowd at two gateways: nobody is served before somebody who came earlier, and whoever has gone is skipped."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import aiohttp
import httpx
import redis

from tests import plain
from tests.contract.client import Api
from tests.contract.ordering import BOOKINGS, PAYMENTS, PRICE, metric
from tests.polling import until
from tests.queue.line import ABANDONED_AFTER, LIMIT, READ_LIMIT, WINDOW, Line

CLIENTS, SECONDS = 1_000, 4.0


class Came(NamedTuple):
    """When a client asked, when they had their answer (epoch seconds), and what that was."""

    user: Api
    asked: float
    told: float
    status: int
    code: int
    data: Any
    retry_after: int


def _gateways(line: Line) -> list[str]:
    return [f"http://127.0.0.1:{port}" for port in line.running.ports["gateway"]]


async def _come(
    line: Line, buyers: Sequence[Api], bodies: Sequence[dict[str, Any]], seconds: float = SECONDS
) -> list[Came]:
    """Everybody asks once, some time within ``seconds``, at either gateway."""
    chance = random.Random(7)

    async def ask(session: aiohttp.ClientSession, gateway: str, buyer: Api, body: dict[str, Any]) -> Came:
        await asyncio.sleep(chance.uniform(0, seconds))
        asked, headers = time.time(), {"authorization": f"Bearer {buyer.token}"}
        async with session.post(gateway + BOOKINGS, json=body, headers=headers) as answer:
            content, again = await answer.json(), int(answer.headers.get("retry-after", 0))
            return Came(buyer, asked, time.time(), answer.status, content["code"], content["data"], again)

    gateways = _gateways(line)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        asking = [
            ask(session, gateways[number % 2], *one) for number, one in enumerate(zip(buyers, bodies, strict=True))
        ]
        return await asyncio.gather(*asking)


def test_a_thousand_clients_at_two_gateways_are_served_in_their_order(line: Line) -> None:
    show = line.shop.make.schedule(line.shop.make.concert(price=PRICE), line.shop.make.venue(row=40, col=25))
    buyers = [line.shop.make.person() for _ in range(CLIENTS)]
    bodies = [
        {"scheduleId": show["id"], "userId": buyer.user_id, "price": PRICE, "seat": [f"{1 + n // 25} {1 + n % 25}"]}
        for n, buyer in enumerate(buyers)
    ]
    came = asyncio.run(_come(line, buyers, bodies))
    assert {one.status for one in came} <= {200, 202}
    queued = sorted((one for one in came if one.status == 202), key=lambda one: int(one.data["ticketNumber"]))
    passed = [one for one in came if one.status == 200]
    assert len(queued) > CLIENTS // 10, "there was no crowd"
    assert len({one.data["ticketNumber"] for one in queued}) == len(queued)
    assert until(line.finished, 60)
    rows = line.shop.make.rows(
        "order", "SELECT user_id, extract(epoch FROM finished_at)::float8 AS at FROM tickets WHERE status = 'DONE'"
    )
    finished = {row["user_id"]: row["at"] for row in rows}
    rows = line.shop.make.rows(
        "order",
        "SELECT user_id, id, extract(epoch FROM created_at)::float8 AS at FROM bookings WHERE schedule_id = %s",
        show["id"],
    )
    booked = {row["user_id"]: (row["id"], row["at"]) for row in rows}
    assert len(booked) == CLIENTS
    # One show is one lane: not even within a window is anybody overtaken.
    in_line = [one.user.user_id for one in queued]
    assert [finished[user] for user in in_line] == sorted(finished[user] for user in in_line)
    assert [booked[user][0] for user in in_line] == sorted(booked[user][0] for user in in_line)
    # Whoever passed came when nobody waited: all who had their tickets by then had been served.
    for one in passed:
        for earlier in queued:
            if earlier.told < one.asked:
                assert finished[earlier.user.user_id] <= booked[one.user.user_id][1]


def test_a_gateway_that_comes_back_lets_nobody_pass_those_who_wait(line: Line) -> None:
    assert until(line.is_calm)
    users = [line.shop.make.person() for _ in range(8)]
    with line.paused("dispatcher"):
        line.join(*(line.wish(line.shop.seats(), user=users[0]) for _ in range(3 * WINDOW)))
        gateway = line.process("gateway")
        gateway.kill()
        gateway.respawn()

        def answers() -> bool:
            try:
                return plain.get(line.running.gateway_url + "/health/live").status_code == 200
            except httpx.TransportError:
                return False

        assert until(answers)
        came = asyncio.run(_come(line, users, [line.shop.request(one, line.shop.seats()) for one in users], 0.0))
        assert {one.status for one in came} == {202}
    assert until(line.finished)


def test_without_kafka_requests_pass_up_to_the_limit(line: Line) -> None:
    assert until(line.is_calm)
    users = [line.shop.make.person() for _ in range(20)]
    bodies = [line.shop.request(one, line.shop.seats()) for one in users]
    with line.paused("kafka"):
        assert until(lambda: all(metric(url, "gateway_line_up") == 0 for url in _gateways(line)))

        def let_order_service_go_on() -> None:
            time.sleep(1)
            line.process("order").resume()

        line.process("order").pause()
        going_on = threading.Thread(target=let_order_service_go_on)
        going_on.start()
        came = asyncio.run(_come(line, users, bodies, 0.0))
        going_on.join()
    # So many at each of the two gateways, and nobody else: no ticket that leads nowhere.
    assert Counter(one.status for one in came) == {200: 2 * LIMIT, 503: len(users) - 2 * LIMIT}
    refused = [one for one in came if one.status == 503]
    assert {(one.code, one.retry_after >= 1) for one in refused} == {(5000, True)}
    assert max(one.told for one in refused) < min(one.told for one in came if one.status == 200)
    assert until(line.is_calm, 40)
    with line.paused("dispatcher"):
        line.join(line.wish(line.shop.seats()))
        request = line.shop.request(users[0], line.shop.seats())
        assert users[0].send("POST", BOOKINGS, json=request).status_code == 202, "the line is there again"


def test_reads_have_a_limit_of_their_own(line: Line) -> None:
    """And who changes something is not kept from it by those who read."""
    user = line.shop.make.person()
    headers = {"authorization": f"Bearer {user.token}"}
    show = f"{line.running.gateway_url}/concert-service/schedules/{line.shop.schedule['id']}"

    async def crowd_in() -> list[tuple[int, str]]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:

            async def read() -> tuple[int, str]:
                async with session.get(show) as answer:
                    return answer.status, answer.headers.get("retry-after", "")

            reading = [asyncio.create_task(read()) for _ in range(READ_LIMIT + 4)]
            await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
            body = {"userId": user.user_id, "bookingIds": [2**40]}
            async with session.post(line.running.gateway_url + PAYMENTS, json=body) as answer:
                assert answer.status == 404
            line.process("concert").resume()
            return await asyncio.gather(*reading)

    line.process("concert").pause()
    try:
        told = asyncio.run(crowd_in())
    finally:
        line.process("concert").resume()
    assert Counter(status for status, _ in told) == {200: READ_LIMIT, 503: 4}
    assert all(int(again) >= 1 for status, again in told if status == 503)


def test_overload_ends_and_does_not_flap(line: Line) -> None:
    def changes(to: str) -> list[float]:
        return [metric(url, f'gateway_overload_changes_total{{to="{to}"}}') for url in _gateways(line)]

    assert until(line.finished)
    assert until(lambda: changes("on") == changes("off"))
    before = changes("on")
    buyers = [line.shop.make.person() for _ in range(200)]
    bodies = [line.shop.request(buyer, line.shop.seats()) for buyer in buyers]
    asyncio.run(_come(line, buyers, bodies))
    assert until(lambda: changes("on") == changes("off"))
    assert all(now - then <= SECONDS / 2 for now, then in zip(changes("on"), before, strict=True))
    user = line.shop.make.person()
    answer = user.send("POST", BOOKINGS, json=line.shop.request(user, line.shop.seats()))
    assert answer.status_code == 200, answer.text


def test_whose_owner_has_not_been_seen_for_long_is_skipped(line: Line) -> None:
    assert until(line.finished)
    here, gone = line.shop.make.person(), line.shop.make.person()
    with line.paused("dispatcher"):
        line.join(line.wish(line.shop.seats()))  # nobody has been seen at this one, so nobody is missed
        tickets = {}
        for user in (here, gone):
            request = line.shop.request(user, line.shop.seats())
            answer = user.send("POST", BOOKINGS, json=request)
            assert answer.status_code == 202, answer.text
            tickets[user] = answer.headers["location"]
        name = f"{line.running.prefix}:seen:{tickets[gone].rpartition('/')[2]}"
        with redis.Redis.from_url(line.running.infrastructure.redis_url) as server:
            assert server.set(name, time.time() - ABANDONED_AFTER - 1, xx=True), "the note has another name"
    assert until(line.finished)
    assert here.get(tickets[here])["status"] == "DONE"
    assert gone.get(tickets[gone])["status"] == "ABANDONED"
    rows = line.shop.make.rows("order", "SELECT count(*) AS held FROM bookings WHERE user_id = %s", gone.user_id)
    assert rows[0]["held"] == 0
    assert line.served(line.places[-1:])[0][0] == "DONE"
