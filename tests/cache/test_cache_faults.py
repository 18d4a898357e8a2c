"""A cache server that is killed, paused or missing fails no request, tells nobody anything old, and is used again."""

from __future__ import annotations

import asyncio

import pytest

from harness.provision import Component
from tests.cache.audience import Audience
from tests.cache.theatre import Theatre
from tests.contract.making import CONCERTS
from tests.polling import until

FAULTS = ("killed", "paused", "restarted at once", "emptied")


async def strike(theatre: Theatre, fault: str) -> None:
    """The fault, for a second and a half, and its end."""
    match fault:
        case "killed":
            theatre.valkey.kill()
            await asyncio.sleep(1.5)
            await asyncio.to_thread(theatre.servers.restart, Component.REDIS)
        case "paused":
            theatre.valkey.pause()
            await asyncio.sleep(1.5)
            theatre.valkey.resume()
        case "restarted at once":
            theatre.valkey.kill()
            await asyncio.to_thread(theatre.servers.restart, Component.REDIS)
        case "emptied":
            await asyncio.to_thread(theatre.redis.flushall)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_under_load_is_not_noticed(theatre: Theatre, fault: str) -> None:
    audience = Audience(theatre)

    async def load() -> None:
        await asyncio.sleep(0.5)
        await strike(theatre, fault)
        await asyncio.sleep(1.5)  # what came back with its file is asked for

    assert theatre.heals()
    asyncio.run(audience.run(during=load))
    assert audience.slowest < 5
    assert min(audience.reads.values()) > 10, audience.reads
    assert theatre.heals()


def test_what_was_changed_while_the_server_was_down_is_not_forgotten(theatre: Theatre) -> None:
    """It comes back from its append-only file with every entry that it had."""
    assert theatre.heals()
    path = f"{CONCERTS}/{theatre.concert['id']}"
    price = theatre.manager.get(path)["price"]
    assert until(lambda: theatre.manager.get(path)["price"] == price and len(theatre.entries()) > 0)
    theatre.valkey.kill()
    assert theatre.manager.patch(path, {"price": price + 1})["price"] == price + 1
    theatre.servers.restart(Component.REDIS)
    assert theatre.entries(), "nothing came back: nothing was tested"
    before = theatre.counted("hit", "concert")
    assert until(lambda: _read(theatre, path) == price + 1 and theatre.counted("hit", "concert") > before)


def _read(theatre: Theatre, path: str) -> int:
    price: int = theatre.manager.get(path)["price"]
    (row,) = theatre.make.rows("concert", "SELECT price FROM concerts WHERE id = %s", theatre.concert["id"])
    assert price == row["price"]
    return price


def test_a_service_starts_without_its_cache_server_and_finds_it_later(theatre: Theatre) -> None:
    (process,) = theatre.make.platform.processes["concert"]
    theatre.valkey.kill()
    process.terminate()
    process.respawn()
    assert until(theatre.concert_service_is_up)
    path = f"{CONCERTS}/{theatre.concert['id']}"
    price = theatre.manager.get(path)["price"]
    assert theatre.manager.patch(path, {"price": price + 1})["price"] == price + 1
    assert theatre.manager.get(path)["price"] == price + 1
    assert theatre.figure('concert_cache_errors_total{error="ConnectionError"}') > 0
    theatre.servers.restart(Component.REDIS)
    assert theatre.heals()
    assert theatre.manager.get(path)["price"] == price + 1
