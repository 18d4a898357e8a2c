"""How long, how large and how many: what is remembered has bounds, and one slot never answers for two keys."""

from __future__ import annotations

import asyncio
import random
import time

import pytest

from concert import cache
from concert.cache import MAX_BODY_BYTES, Place
from concert.cache_entries import Found, Kind
from harness.provision import Infrastructure
from tests.unit.stages.cache.remembering import NUMBERS, Source, counted, remembering, until

TEXTS = Kind("test-text", str, seconds=60)
BRIEF = Kind("test-number", int, seconds=0.6)

# The clocks of two processes, and of the test, are not read at the same moment.
DELIVERY_SECONDS = 0.1


def test_an_entry_lives_from_the_moment_its_load_began(
    servers: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not from when it was stored: a slow load, or a store that was stuck on its way, prolongs nothing."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)

    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            source.hold()
            before = time.time()
            slow = asyncio.create_task(ground.number(source))
            await source.reached(2)
            begun = time.time()
            await asyncio.sleep(0.3)
            await ground.redis.client_pause(400, all=False)
            source.release()
            await slow
            assert time.time() > begun + 0.6, "its store was held up"
            slot = int.from_bytes(NUMBERS.digest("key")[:4]) % cache.SLOTS
            expires = await ground.redis.pexpiretime(f"{ground.prefix}cache:{NUMBERS.name}:{slot}")
            assert before * 1000 - 1 <= expires - 60_000 <= begun * 1000

    asyncio.run(run())


def test_what_was_stored_together_does_not_expire_together(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source()
            await ground.number(source)
            began = time.time() * 1000
            await asyncio.gather(*(ground.number(source, key) for key in range(200)))
            await ground.settled()
            took = time.time() * 1000 - began
            expiries = [await ground.redis.pexpiretime(key) - began for key in await ground.entries()]
            assert len(expiries) > 150
            assert min(expiries) >= 48_000 - 1
            assert max(expiries) <= 60_000 + took
            # Evenly over the last fifth of their lives, and over the time that storing them took.
            quarter = (12_000 + took) / 4
            quarters = [sum(part <= (expiry - 48_000) / quarter < part + 1 for expiry in expiries) for part in range(4)]
            assert min(quarters) > len(expiries) / 12, quarters

    asyncio.run(run())


def test_a_slow_load_is_given_to_nobody_who_comes_too_late(servers: Infrastructure) -> None:
    """What it has read may be as old as it is itself, and that must be younger than the kind allows."""

    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            source.hold()
            began = time.monotonic()
            slow = asyncio.create_task(ground.cache.json(Place.of(BRIEF, "key"), source.load))
            await source.reached(2)
            source.value = 2
            others = []
            while time.monotonic() < began + BRIEF.seconds:
                others.append(asyncio.create_task(ground.cache.json(Place.of(BRIEF, "key"), source.load)))
                await asyncio.sleep(0.05)
            late = asyncio.create_task(ground.cache.json(Place.of(BRIEF, "key"), source.load))
            await source.reached(3)
            source.release()
            assert await slow == b"1"
            assert await others[0] == b"1"
            assert await late == b"2"

    asyncio.run(run())


def test_what_is_remembered_is_given_up_in_time(servers: Infrastructure) -> None:
    """No change is announced: as with bookings, which are made elsewhere."""

    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source()
            await ground.number(source, "to have a generation")
            over = time.monotonic() + 1.7
            replaced: dict[int, float] = {}
            while (now := time.monotonic()) < over:
                value = int(await ground.cache.json(Place.of(BRIEF, "key"), source.load))
                if value < source.value:
                    assert now < replaced[value] + BRIEF.seconds + DELIVERY_SECONDS
                else:
                    replaced[value] = time.monotonic()
                    source.value += 1
                await asyncio.sleep(0.005)
            assert 2 <= source.value < 10, "it was remembered in between"

    asyncio.run(run())


@pytest.mark.parametrize(("size", "is_stored"), [(MAX_BODY_BYTES, True), (MAX_BODY_BYTES + 1, False)])
def test_an_answer_that_is_too_large_is_given_and_not_stored(
    servers: Infrastructure, size: int, is_stored: bool
) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            await ground.number(Source(), "to have a generation")
            text = "a" * (size - 2)  # and two quotation marks

            async def load() -> str:
                return text

            before = len(await ground.entries())
            for _ in range(2):
                assert await ground.cache.json(Place.of(TEXTS, "key"), load) == f'"{text}"'.encode()
                await ground.settled()
            assert len(await ground.entries()) == before + is_stored

    asyncio.run(run())


def test_thousands_of_keys_share_the_slots_and_none_is_given_what_is_anothers(
    servers: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "SLOTS", 16)

    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            await ground.number(Source(), "to have a generation")
            displaced = counted(Found.DISPLACED)

            async def check(number: int) -> None:
                async def load() -> int:
                    await asyncio.sleep(0)
                    return number

                key = (number, 20, f"word {number}")
                assert NUMBERS.decode(await ground.cache.json(Place.of(NUMBERS, key), load)) == number

            for _ in range(3):
                for first in range(0, 2000, 100):
                    await asyncio.gather(*(check(number) for number in range(first, first + 100)))
            await ground.settled()
            assert counted(Found.DISPLACED) > displaced + 500
            assert 1 <= len(await ground.entries()) <= 16
            for key in await ground.entries():
                assert 0 < await ground.redis.pttl(key) <= 60_000

    asyncio.run(run())


def test_a_failure_is_given_to_all_who_wait_and_not_remembered(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            await ground.number(Source(), "to have a generation")
            before = await ground.entries()
            gate, loads = asyncio.Event(), 0

            async def fail() -> int:
                nonlocal loads
                loads += 1
                await gate.wait()
                raise LookupError("no such concert")

            waiting = [asyncio.create_task(ground.cache.json(Place.of(NUMBERS, "key"), fail)) for _ in range(20)]
            shared = counted("shared")
            await until(lambda: reached(shared + 19))
            gate.set()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [LookupError] * 20
            assert loads == 1
            await ground.settled()
            assert await ground.entries() == before
            assert await ground.number(Source(3)) == 3

    async def reached(count: float) -> bool:
        return counted("shared") >= count

    asyncio.run(run())


def test_who_asked_first_may_hang_up(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(4)
            await ground.number(source, "to have a generation")
            source.hold()
            first = asyncio.create_task(ground.number(source))
            await source.reached(2)
            shared = counted("shared")
            second = asyncio.create_task(ground.number(source))
            await until(lambda: reached(shared + 1))
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            source.release()
            assert await second == 4
            assert source.loads == 2

    async def reached(count: float) -> bool:
        return counted("shared") >= count

    asyncio.run(run())


def test_a_thousand_at_once_are_one_load(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            source.hold()
            asking = [
                asyncio.create_task(ground.cache.json(Place.of(NUMBERS, "key"), source.load)) for _ in range(1000)
            ]
            await source.reached(2)
            source.release()
            assert set(await asyncio.gather(*asking)) == {b"1"}
            assert source.loads == 2

    asyncio.run(run())


def test_whoever_asks_while_it_is_loaded_does_not_load_it_again(servers: Infrastructure) -> None:
    """Their look into the cache is under way when the load ends: it finds nothing there, nor anybody loading."""

    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            for key in range(20):
                source.loads = 0
                source.hold()
                first = asyncio.create_task(ground.cache.json(Place.of(NUMBERS, key), source.load))
                await source.reached(1)
                others = [
                    asyncio.create_task(ground.cache.json(Place.of(NUMBERS, key), source.load)) for _ in range(50)
                ]
                await asyncio.sleep(0)
                source.release()
                await asyncio.gather(first, *others)
                assert source.loads == 1, f"key {key}"
                await ground.settled()

    asyncio.run(run())


def test_a_thousand_first_ones_of_a_cold_cache_are_one_load(servers: Infrastructure) -> None:
    """There is no generation yet, or the server has lost its memory."""

    async def run() -> None:
        async with remembering(servers.redis_url, cache_seconds=0.5) as ground:
            source = Source(1)
            source.hold()
            asking = [
                asyncio.create_task(ground.cache.json(Place.of(NUMBERS, "key"), source.load)) for _ in range(1000)
            ]
            await source.reached(1)
            await asyncio.sleep(0.2)
            source.release()
            assert set(await asyncio.gather(*asking)) == {b"1"}
            assert source.loads == 1

    asyncio.run(run())
