"""What stands in the server: rubbish does no harm, keys are bounded, and every entry has its end."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import aiohttp
import pytest

from tests.cache.theatre import Theatre
from tests.contract.making import CONCERTS, SCHEDULES, number
from tests.polling import until

SLOTS = 16_384
KINDS = ("concert-page", "concert-search", "concert", "schedule", "seats")


def paths(theatre: Theatre) -> dict[str, str]:
    """What is asked for, by the kind of entry that answers it; ``schedule`` is asked for on the way to ``seats``."""
    return {
        "concert-page": f"{CONCERTS}?size=7&sort=price,asc",
        "concert-search": f"{CONCERTS}/search?concert-name=concert",
        "concert": f"{CONCERTS}/{theatre.concert['id']}",
        "seats": f"{SCHEDULES}/{theatre.schedule['id']}",
    }


RUBBISH: dict[str, Callable[[bytes], bytes]] = {
    "with a flipped bit": lambda entry: entry[:-5] + bytes([entry[-5] ^ 1]) + entry[-4:],
    "of another version": lambda entry: b"ftc0" + entry[4:],
    "a pickle": lambda _: pickle.dumps({"content": []}),
}


@pytest.fixture
def stored(theatre: Theatre) -> Iterator[dict[str, tuple[bytes, bytes]]]:
    """Kind to the key and content of the entry that answers its path; the server is emptied afterwards."""
    assert theatre.heals()
    found: dict[str, tuple[bytes, bytes]] = {}

    def is_stored(kind: str, path: str) -> bool:
        theatre.manager.get(path)
        for key in theatre.entries():
            entry = theatre.redis.get(key) if f":cache:{kind}:".encode() in key else None
            if isinstance(entry, bytes):  # it may have expired meanwhile
                found[kind] = key, entry
        return kind in found

    for asked in paths(theatre).items():
        theatre.redis.delete(*theatre.entries(), "none")
        assert until(partial(is_stored, *asked))
    yield found
    theatre.redis.flushall()


@pytest.mark.parametrize("rubbish", RUBBISH)
def test_rubbish_is_a_miss_is_counted_and_is_replaced(
    theatre: Theatre, stored: dict[str, tuple[bytes, bytes]], rubbish: str
) -> None:
    for kind, path in paths(theatre).items():
        key, entry = stored[kind]
        expected, before = theatre.manager.get(path), theatre.counted("unreadable", kind)
        theatre.redis.set(key, RUBBISH[rubbish](entry))
        assert theatre.manager.get(path) == expected
        assert theatre.counted("unreadable", kind) == before + 1
        # It has an end again, or has met it.
        assert until(partial(_has_end, theatre, key))
        assert theatre.manager.get(path) == expected


def _has_end(theatre: Theatre, key: bytes) -> bool:
    return theatre.redis.pttl(key) != -1


@pytest.mark.parametrize("of", ["list", "hash"])
def test_keys_of_other_redis_types_do_no_harm(
    theatre: Theatre, stored: dict[str, tuple[bytes, bytes]], of: str
) -> None:
    expected = {path: theatre.manager.get(path) for path in paths(theatre).values()}
    for key in [*(key for key, _ in stored.values()), theatre.generation_key]:
        theatre.redis.delete(key)
        if of == "list":
            theatre.redis.rpush(key, "a")
        else:
            theatre.redis.hset(key, "a", "b")
    for path in expected:
        assert theatre.manager.get(path) == expected[path]
    assert theatre.heals()
    for path in expected:
        assert theatre.manager.get(path) == expected[path]
    assert until(lambda: all(theatre.redis.type(key) in (b"string", b"none") for key, _ in stored.values()))


def test_every_page_ordering_and_word_has_an_answer_of_its_own(theatre: Theatre) -> None:
    """Twice each: as it is made, and as it is remembered."""
    make, word = theatre.make, f"own{number()}x"
    for price in (30, 10, 20, 10):
        make.concert(concertName=f"{word} {price}", price=price, runTime=price % 30 + 1)
    assert theatre.heals()
    living = "SELECT id FROM concerts WHERE NOT is_deleted"
    asked: dict[str, list[int]] = {}
    for sort, order in {"price": "price", "price,desc": "price DESC", "runtime": "run_time"}.items():
        for page, size in ((0, 1), (0, 2), (1, 1), (1, 2), (10**6, 2)):
            rows = make.rows("concert", f"{living} ORDER BY {order}, id LIMIT {size} OFFSET {page * size}")
            asked[f"{CONCERTS}?page={page}&size={size}&sort={sort}"] = [row["id"] for row in rows]
    hits = theatre.counted("hit")
    for _ in range(2):
        for path, expected in asked.items():
            answer = theatre.manager.get(path)
            assert [concert["id"] for concert in answer["content"]] == expected, path
            assert f"page={answer['number']}&size={answer['size']}&" in path
        for part, count in {"": 4, " 1": 2, " 3": 1, " 4": 0}.items():
            assert len(theatre.manager.get(f"{CONCERTS}/search?concert-name={word}{part}")) == count
    assert theatre.counted("hit") >= hits + len(asked) - 1


def test_whatever_people_think_up_the_keys_are_bounded_and_have_an_end(theatre: Theatre) -> None:
    assert theatre.heals()
    headers = {"Authorization": f"Bearer {theatre.manager.token}"}

    async def run() -> None:
        async with aiohttp.ClientSession(theatre.make.platform.gateway_url, headers=headers) as client:

            async def ask(path: str, **query: Any) -> None:
                async with client.get(path, params=query) as answer:
                    assert answer.status == 200, await answer.text()

            for first in range(0, 500, 50):
                numbers = range(first, first + 50)
                await asyncio.gather(
                    *(ask(CONCERTS, page=number, size=number % 100 + 1, sort="price,desc") for number in numbers),
                    *(ask(f"{CONCERTS}/search", **{"concert-name": f"{number} 한글 ' OR 1=1"}) for number in numbers),
                )

    asyncio.run(run())
    keys = theatre.entries()
    prefix = theatre.generation_key.removesuffix(b"generation")
    assert len(keys) > 800
    assert len(theatre.redis.keys(prefix + b"*")) == len(keys) + 1
    for key in keys:
        kind, slot = key.removeprefix(prefix).decode().split(":")
        assert kind in KINDS
        assert 0 <= int(slot) < SLOTS
    pipeline = theatre.redis.pipeline()
    for key in keys:
        pipeline.pttl(key)
    ends = [end for end in pipeline.execute() if end != -2]
    assert min(ends) > 0, "an entry without an end"
    assert max(ends) <= 60_000
    assert len({end // 1000 for end in ends}) >= 8, "they would all go at once"


def test_an_answer_too_large_for_the_cache_is_given_all_the_same(theatre: Theatre) -> None:
    word = f"large{number()}x"
    image = "https://images.example/" + "i" * 1900
    concerts = [theatre.make.concert(concertName=word, concertImage=image) for _ in range(25)]
    try:
        assert theatre.heals()
        path = f"{CONCERTS}/search?concert-name={word}"
        hits, loads = theatre.counted("hit", "concert-search"), theatre.loads("concert-search")
        for _ in range(4):
            assert len(theatre.manager.get(path)) == 25
        assert theatre.loads("concert-search") > loads
        assert theatre.counted("hit", "concert-search") == hits
        assert max(theatre.redis.strlen(key) for key in theatre.entries()) < 40_000
    finally:
        # Other tests' pages would be too large with these.
        for concert in concerts:
            theatre.manager.delete(f"{CONCERTS}/{concert['id']}")
