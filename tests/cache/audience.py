"""Readers and writers at the gateway at the same time, and a judge who knows what every read must have seen."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.cache.theatre import Theatre
from tests.contract.making import CONCERTS, SCHEDULES, VENUES, concert_body, number

SORTS = ("sort=price,desc&sort=id,desc", "sort=id,desc", "sort=concertName,asc", "sort=startDate&sort=price,asc")
PAUSE_SECONDS = 0.25


@dataclass
class Versioned:
    """A field that only ever grows."""

    begun: int = 0
    """Greatest value that has been sent."""
    acknowledged: int = 0
    """Greatest value that has been answered with 200."""


@dataclass
class Guest:
    """A concert that comes and goes."""

    id: int
    created: float
    """When its creation was acknowledged."""
    going: float = float("inf")
    """When its deletion was sent."""
    gone: float = float("inf")
    """When that was acknowledged."""


@dataclass
class Audience:
    """What is asked of one theatre, for as long as ``stop`` is not set."""

    theatre: Theatre
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    word: str = field(default_factory=lambda: f"guest{number()}x")

    def __post_init__(self) -> None:
        rows = self.theatre.make.rows
        (price,) = rows("concert", "SELECT price AS n FROM concerts WHERE id = %s", self.theatre.concert["id"])
        (row,) = rows("concert", "SELECT row_count AS n FROM venues WHERE id = %s", self.theatre.venue["id"])
        self.price = Versioned(price["n"], price["n"])
        self.row = Versioned(row["n"], row["n"])
        self.second = Versioned()
        self.guests: list[Guest] = []
        self.chance = random.Random(7)

    async def run(self, *, readers: int = 16, during: Callable[[], Awaitable[None]]) -> None:
        """Asks as long as ``during`` takes.

        Raises:
            AssertionError: a read did not see what had been acknowledged before it began, or an answer was no 200.
        """
        headers = {"Authorization": f"Bearer {self.theatre.manager.token}"}
        timeout = aiohttp.ClientTimeout(total=20)
        url = self.theatre.make.platform.gateway_url
        async with aiohttp.ClientSession(url, headers=headers, timeout=timeout) as self.client:
            # As the databases say it when the load begins.
            await self._send("PATCH", f"{SCHEDULES}/{self.theatre.schedule['id']}", {"concertTime": "00:00:00"})
            async with asyncio.TaskGroup() as group:
                for write in (self._raise_price, self._add_row, self._move_time, self._come_and_go):
                    group.create_task(self._repeat(write, PAUSE_SECONDS))
                everything = (self._list, self._search, self._detail, self._seats)
                for reader in range(readers):
                    group.create_task(self._repeat(everything[reader % len(everything)], 0.04))
                try:
                    await during()
                finally:
                    self.stop.set()
        assert {status for _, status in self.statuses} == {200}, self.statuses

    async def _repeat(self, ask: Callable[[], Awaitable[None]], pause: float) -> None:
        while not self.stop.is_set():
            await ask()
            await asyncio.sleep(pause * self.chance.random())

    async def _send(self, method: str, path: str, body: Any = None) -> Any:
        began = time.monotonic()
        async with self.client.request(method, path, json=body) as answer:
            content = await answer.json()
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[f"{method} {path.partition('?')[0]}", answer.status] += 1
        assert answer.status == 200, (method, path, content)
        return content["data"]

    # Writers.

    async def _raise_price(self) -> None:
        await self._grow(self.price, f"{CONCERTS}/{self.theatre.concert['id']}", lambda value: {"price": value})

    async def _add_row(self) -> None:
        await self._grow(self.row, f"{VENUES}/{self.theatre.venue['id']}", lambda value: {"row": value})

    async def _move_time(self) -> None:
        path = f"{SCHEDULES}/{self.theatre.schedule['id']}"
        await self._grow(self.second, path, lambda value: {"concertTime": f"00:{value // 60:02}:{value % 60:02}"})

    async def _grow(self, what: Versioned, path: str, body: Callable[[int], Any]) -> None:
        what.begun += 1
        await self._send("PATCH", path, body(what.begun))
        what.acknowledged = what.begun

    async def _come_and_go(self) -> None:
        concert = await self._send(
            "POST", CONCERTS, concert_body(concertName=f"{self.word} {number()}", price=2**31 - 1)
        )
        guest = Guest(concert["id"], time.monotonic())
        self.guests.append(guest)
        await asyncio.sleep(PAUSE_SECONDS / 2)
        guest.going = time.monotonic()
        await self._send("DELETE", f"{CONCERTS}/{guest.id}")
        guest.gone = time.monotonic()

    # Readers.

    async def _list(self) -> None:
        sort = self.chance.choice(SORTS)
        began, price = time.monotonic(), self.price.acknowledged
        page = await self._send("GET", f"{CONCERTS}?size=100&{sort}")
        self.reads["list"] += 1
        concerts = {concert["id"]: concert for concert in page["content"]}
        assert page["totalElements"] == len(concerts) <= 100, "the judge needs all of them on one page"
        assert price <= concerts[self.theatre.concert["id"]]["price"] <= self.price.begun, sort
        self._judge_guests(set(concerts), began)

    async def _search(self) -> None:
        began = time.monotonic()
        concerts = await self._send("GET", f"{CONCERTS}/search?concert-name={self.word.upper()}")
        self.reads["search"] += 1
        self._judge_guests({concert["id"] for concert in concerts}, began)

    def _judge_guests(self, present: set[int], began: float) -> None:
        ended = time.monotonic()
        for guest in self.guests:
            if guest.created < began and ended < guest.going:
                assert guest.id in present, "a new concert is missing"
            if guest.gone < began:
                assert guest.id not in present, "a deleted concert is still there"

    async def _detail(self) -> None:
        price, second = self.price.acknowledged, self.second.acknowledged
        concert = await self._send("GET", f"{CONCERTS}/{self.theatre.concert['id']}")
        self.reads["detail"] += 1
        assert price <= concert["price"] <= self.price.begun
        (schedule,) = concert["schedules"]
        assert second <= _seconds(schedule["concertTime"]) <= self.second.begun

    async def _seats(self) -> None:
        row, second = self.row.acknowledged, self.second.acknowledged
        schedule = await self._send("GET", f"{SCHEDULES}/{self.theatre.schedule['id']}")
        self.reads["seats"] += 1
        assert row <= schedule["stage"]["row"] <= self.row.begun
        assert second <= _seconds(schedule["concertTime"]) <= self.second.begun


def _seconds(moment: str) -> int:
    hours, minutes, seconds = moment.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)
