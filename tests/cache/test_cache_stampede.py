"""A thousand who miss the same answer at once are one question to the database."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.cache.test_cache_fresh import held_up, locked
from tests.cache.theatre import Theatre
from tests.contract.making import CONCERTS, number
from tests.polling import until

CROWD = 1000
# So many of them reach the service at the same time; the others wait at the gateway for a connection.
TOGETHER = 60


async def crowd(theatre: Theatre, path: str) -> set[bytes]:
    """What a thousand clients at once are told."""
    headers = {"Authorization": f"Bearer {theatre.manager.token}"}
    async with aiohttp.ClientSession(
        theatre.make.platform.gateway_url, headers=headers, connector=aiohttp.TCPConnector(limit=0)
    ) as client:

        async def ask() -> bytes:
            async with client.get(path) as answer:
                assert answer.status == 200, await answer.text()
                return await answer.read()

        return set(await asyncio.gather(*(ask() for _ in range(CROWD))))


@pytest.mark.parametrize("state", ["of an answer that is not there", "of a cold cache"])
def test_a_thousand_misses_at_once_are_one_load(theatre: Theatre, state: str) -> None:
    """They are held up together, with a lock on the table, until all of them wait."""
    assert theatre.heals()
    if state == "of a cold cache":
        theatre.redis.flushall()
    path = f"{CONCERTS}?size={number() % 50 + 1}&sort=runtime,desc&sort=price"
    loads, shared = theatre.loads(), theatre.counted("shared")

    async def run() -> set[bytes]:
        with locked(theatre, "concert", "concerts"):
            asking = asyncio.create_task(crowd(theatre, path))
            await asyncio.to_thread(until, lambda: held_up(theatre, "concert") > 0)
            await asyncio.to_thread(until, lambda: theatre.counted("shared") >= shared + TOGETHER - 1)
        return await asking

    assert len(asyncio.run(run())) == 1
    assert theatre.loads() == loads + 1


def test_a_thousand_misses_that_are_not_held_up_are_one_load(theatre: Theatre) -> None:
    assert theatre.heals()
    loads = theatre.loads()
    path = f"{CONCERTS}?size={number() % 50 + 1}&sort=runtime,desc&sort=endDate"
    assert len(asyncio.run(crowd(theatre, path))) == 1
    assert theatre.loads() == loads + 1
