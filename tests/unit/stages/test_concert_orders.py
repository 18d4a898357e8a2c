"""What concert-service makes of order-service's answers, and what it leaves behind when one is missing."""

from __future__ import annotations

import asyncio
import json

import pytest

from common.clients import ServiceClient
from common.errors import ServiceUnavailable
from concert import schedules
from concert.orders import LOCKED_SECONDS, ActiveBookings, Orders
from concert.resources import Resources
from concert.settings import ConcertSettings
from tests.unit.answering import SIGNER, Answer, answering, asked, never, status

SENSELESS = [
    status(404), status(200, ""), status(200, "<html>"), status(200, "[]"), status(200, "null"),
    status(200, '{"data":1}'), status(500), status(401),
]  # fmt: skip


def test_taken_seats_are_read_from_the_envelope() -> None:
    answer = status(200, '{"code":0,"message":"","data":["1 2","3 4"]}')
    assert asked(answer, lambda client: Orders(client).taken_seats(7)) == ["1 2", "3 4"]


@pytest.mark.parametrize("answer", SENSELESS)
def test_taken_seats_that_cannot_be_had(answer: Answer) -> None:
    with pytest.raises(ServiceUnavailable):
        asked(answer, lambda client: Orders(client).taken_seats(7))


def test_active_bookings_are_read_without_an_envelope() -> None:
    answer = status(200, json.dumps([{"scheduleId": 7, "count": 2, "maxRow": 3, "maxCol": 4}]))
    found = asked(answer, lambda client: Orders(client).active_bookings([7, 8]))
    assert found == [ActiveBookings(schedule_id=7, count=2, max_row=3, max_col=4)]
    assert asked(status(500), lambda client: Orders(client).active_bookings([])) == []


@pytest.mark.parametrize("answer", [*SENSELESS[:3], *SENSELESS[4:]])
def test_active_bookings_that_cannot_be_had(answer: Answer) -> None:
    with pytest.raises(ServiceUnavailable):
        asked(answer, lambda client: Orders(client).active_bookings([7]))


def test_who_holds_locks_does_not_wait_for_long() -> None:
    async def run() -> float:
        async with answering(never) as url:
            client = ServiceClient(url, own_name="concert-service", signer=SIGNER)
            await client.open()
            loop = asyncio.get_running_loop()
            started = loop.time()
            with pytest.raises(ServiceUnavailable):
                await Orders(client).active_bookings([7])
            await client.close()
            return loop.time() - started

    assert LOCKED_SECONDS - 0.1 < asyncio.run(run()) < LOCKED_SECONDS + 3


def test_a_seat_lookup_without_its_database_leaves_no_question_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_KEY", "k" * 40)
    monkeypatch.setenv("CONCERT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")

    async def run() -> set[asyncio.Task[object]]:
        async with answering(never) as url:
            monkeypatch.setenv("CONCERT_ORDER_SERVICE_URL", url)
            resources = Resources.of(ConcertSettings(), SIGNER)
            await resources.open()
            before = asyncio.all_tasks()
            with pytest.raises(ServiceUnavailable, match="database"):
                await schedules.seats(resources, 7)
            ours = {
                task
                for task in asyncio.all_tasks() - before
                if "taken_seats" in getattr(task.get_coro(), "__name__", "")
            }
            await resources.close()
            return ours

    assert asyncio.run(run()) == set()
