"""order-service's memory of shows: at most a second, one question at a time, and no more shows than fit."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from common.clients import AnswerUnusable, ServiceClient
from common.errors import ScheduleNotFound, ServiceUnavailable
from common.identity import IdentitySigner
from order import schedules
from order.schedules import Schedules

DETAIL: dict[str, Any] = {
    "id": 1, "concertId": 3, "concertName": "Spring", "runtime": 120, "price": 1000, "sellerId": 2,
    "stageName": "Hall", "location": "Seoul", "row": 10, "col": 20, "concertDate": "2031-03-05",
    "concertTime": "19:30:00",
}  # fmt: skip


class ConcertService:
    """Answers about shows as concert-service does, and counts; the price is the number of the question."""

    def __init__(self) -> None:
        self.asked: Counter[int] = Counter()
        self.was_asked = asyncio.Event()
        self.answer_when = asyncio.Event()
        self.answer_when.set()
        self.status = 200

    async def detail(self, request: web.Request) -> web.Response:
        schedule_id = int(request.match_info["id"])
        self.asked[schedule_id] += 1
        self.was_asked.set()
        price = self.asked[schedule_id]
        await self.answer_when.wait()
        if self.status != 200:
            return web.json_response({}, status=self.status)
        return web.json_response({**DETAIL, "id": schedule_id, "price": price})


@asynccontextmanager
async def asking() -> AsyncIterator[tuple[ConcertService, Schedules]]:
    service = ConcertService()
    app = web.Application()
    app.router.add_get("/schedules/{id}/detail", service.detail)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    client = ServiceClient(f"http://127.0.0.1:{port}", own_name="order-service", signer=IdentitySigner("k" * 32))
    await client.open()
    try:
        yield service, Schedules(client)
    finally:
        await client.close()
        await runner.cleanup()


def run(test: Callable[[ConcertService, Schedules], Coroutine[Any, Any, None]]) -> None:
    async def with_both() -> None:
        async with asking() as both:
            await test(*both)

    asyncio.run(with_both())


class Clock:
    """``time.monotonic`` that goes when it is told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    hand = Clock()
    monkeypatch.setattr("order.schedules.time", SimpleNamespace(monotonic=hand))
    return hand


def test_an_answer_is_remembered_for_a_second(clock: Clock) -> None:
    async def test(service: ConcertService, known: Schedules) -> None:
        assert (await known.detail(1)).price == 1
        clock.now += 0.999
        assert (await known.detail(1)).price == 1
        clock.now += 0.001
        assert (await known.detail(1)).price == 2
        assert service.asked == {1: 2}

    run(test)


def test_its_age_counts_from_the_question_on(clock: Clock) -> None:
    async def test(service: ConcertService, known: Schedules) -> None:
        service.answer_when.clear()
        slow = asyncio.create_task(known.detail(1))
        await service.was_asked.wait()
        clock.now += 0.9
        service.answer_when.set()
        assert (await slow).price == 1
        clock.now += 0.1
        assert (await known.detail(1)).price == 2

    run(test)


def test_who_comes_a_second_after_a_question_asks_again(clock: Clock) -> None:
    """Its answer may be about a show that has changed since; and when it comes at last, it is not remembered."""

    async def test(service: ConcertService, known: Schedules) -> None:
        service.answer_when.clear()
        first = asyncio.create_task(known.detail(1))
        await service.was_asked.wait()
        service.was_asked.clear()
        clock.now += 1.0
        second = asyncio.create_task(known.detail(1))
        await asyncio.wait_for(service.was_asked.wait(), 5)
        service.answer_when.set()
        assert ((await second).price, (await first).price) == (2, 1)
        assert (await known.detail(1)).price == 2
        assert service.asked == {1: 2}

    run(test)


def test_many_who_ask_at_once_ask_once() -> None:
    async def test(service: ConcertService, known: Schedules) -> None:
        found = await asyncio.gather(*(known.detail(1 + number % 2) for number in range(1000)))
        assert service.asked == {1: 1, 2: 1}
        assert {detail.id for detail in found} == {1, 2}

    run(test)


def test_who_hangs_up_leaves_the_others_their_answer() -> None:
    async def test(service: ConcertService, known: Schedules) -> None:
        service.answer_when.clear()
        first, second = asyncio.create_task(known.detail(1)), asyncio.create_task(known.detail(1))
        await service.was_asked.wait()
        first.cancel()
        service.answer_when.set()
        assert (await second).price == 1
        with pytest.raises(asyncio.CancelledError):
            await first
        assert service.asked == {1: 1}

    run(test)


@pytest.mark.parametrize(
    ("status", "error"), [(404, ScheduleNotFound), (500, AnswerUnusable), (503, ServiceUnavailable)]
)
def test_a_failure_is_everybodys_and_is_not_remembered(status: int, error: type[Exception]) -> None:
    async def test(service: ConcertService, known: Schedules) -> None:
        service.status = status
        answers = await asyncio.gather(*(known.detail(1) for _ in range(10)), return_exceptions=True)
        assert {type(answer) for answer in answers} == {error}
        assert service.asked == {1: 1}
        service.status = 200
        assert (await known.detail(1)).price == 2

    run(test)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    async def test(service: ConcertService, known: Schedules) -> None:
        for schedule_id in (1, 2, 3, 1, 4):
            await known.detail(schedule_id)
        assert service.asked == {1: 1, 2: 1, 3: 1, 4: 1}
        # 1 was the oldest, and had to go.
        await known.detail(2)
        await known.detail(1)
        assert service.asked == {1: 2, 2: 1, 3: 1, 4: 1}

    monkeypatch.setattr(schedules, "REMEMBERED_SCHEDULES", 3)
    run(test)
