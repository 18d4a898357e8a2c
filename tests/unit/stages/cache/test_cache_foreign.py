"""What somebody else has put in the server is a miss, is counted, and makes room."""

from __future__ import annotations

import asyncio

import pytest

from concert.cache import SLOTS, Place
from concert.cache_entries import Found
from harness.provision import Infrastructure
from tests.unit.stages.cache.remembering import NUMBERS, Ground, Source, counted, heals, remembering, until

FOREIGN_ENTRIES = {
    "nothing": b"",
    "text": b"hello",
    "json": b'{"content":[]}',
    "zeros": bytes(500),
    "a pickle": b"\x80\x04K\x07.",
    "another product's": b"\xac\xed\x00\x05sr\x00\x13java.util.ArrayList" + bytes(60),
    "very long": b"x" * 1_000_000,
}


def slot_key(ground: Ground) -> str:
    return f"{ground.prefix}cache:{NUMBERS.name}:{int.from_bytes(NUMBERS.digest('key')[:4]) % SLOTS}"


@pytest.mark.parametrize("foreign", FOREIGN_ENTRIES)
def test_a_foreign_entry_is_counted_and_replaced(servers: Infrastructure, foreign: str) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            await ground.number(Source(), "to have a generation")
            source, before = Source(7), counted(Found.UNREADABLE)
            await ground.redis.set(slot_key(ground), FOREIGN_ENTRIES[foreign])
            assert await ground.number(source) == 7
            assert counted(Found.UNREADABLE) == before + 1
            assert await ground.number(source) == 7
            assert source.loads == 1

    asyncio.run(run())


def test_a_foreign_entry_is_removed_also_where_nothing_takes_its_place(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            await ground.number(Source(), "to have a generation")
            await ground.redis.set(slot_key(ground), b"rubbish, without an expiry")

            async def fail() -> int:
                raise LookupError

            with pytest.raises(LookupError):
                await ground.cache.json(Place.of(NUMBERS, "key"), fail)
            await ground.settled()
            assert not await ground.redis.exists(slot_key(ground))

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["list", "hash", "set", "stream"])
@pytest.mark.parametrize("where", ["the entry", "the generation"])
def test_a_key_of_another_redis_type_is_replaced(servers: Infrastructure, kind: str, where: str) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(7)
            await ground.number(source)
            key = slot_key(ground) if where == "the entry" else ground.generation_key
            await ground.redis.delete(key)
            match kind:
                case "list":
                    await ground.redis.rpush(key, "a")
                case "hash":
                    await ground.redis.hset(key, "a", "b")
                case "set":
                    await ground.redis.sadd(key, "a")
                case "stream":
                    await ground.redis.xadd(key, {"a": "b"})

            async def is_replaced() -> bool:
                assert await ground.number(source) == 7
                return bool(await ground.redis.type(key) == b"string")

            await until(is_replaced)
            await heals(ground, source)

    asyncio.run(run())


@pytest.mark.parametrize(
    "foreign", [b"", b"1", b"seven77", b"ninebytes", b"x" * 1000], ids=lambda value: str(len(value))
)
def test_a_foreign_generation_is_replaced(servers: Infrastructure, foreign: bytes) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(7)
            await ground.redis.set(ground.generation_key, foreign)
            await heals(ground, source)

    asyncio.run(run())
