"""Nothing older than the last acknowledged change is served, however slow a reader is and whoever dies."""

from __future__ import annotations

import asyncio
import random
import time

from concert.cache import Place
from concert.cache_entries import Found
from concert.cache_server import UNSURE
from harness.provision import Infrastructure
from tests.unit.stages.cache.remembering import NUMBERS, Ground, Source, counted, heals, remembering


def test_what_is_remembered_is_not_loaded_again(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            await ground.number(Source(), "to have a generation")
            source, before = Source(7), counted(Found.HIT)
            assert [await ground.number(source) for _ in range(5)] == [7] * 5
            assert source.loads == 1
            assert counted(Found.HIT) == before + 4

    asyncio.run(run())


def test_a_change_is_seen_by_the_next_read(servers: Infrastructure) -> None:
    async def run() -> None:
        async with (
            remembering(servers.redis_url) as ground,
            remembering(servers.redis_url, prefix=ground.prefix) as other,
        ):
            source = Source()
            for value in range(1, 30):
                await ground.change(source, value)
                assert [await other.number(source), await ground.number(source)] == [value, value]
            assert source.loads == 29, "what one instance has loaded serves both"

    asyncio.run(run())


def test_what_a_slow_reader_has_read_before_a_change_is_not_served_after_it(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            source.hold()
            slow = asyncio.create_task(ground.number(source))
            await source.reached(2)

            await ground.change(source, 2)
            # It is still under way: who asks now must not be given what it will bring.
            prompt = asyncio.create_task(ground.number(source))
            await source.reached(3)
            source.release()

            assert await slow == 1
            assert await prompt == 2
            assert await ground.number(source) == 2
            assert await ground.number(source) == 2

    asyncio.run(run())


def test_a_slow_reader_that_comes_back_last_replaces_what_is_new_by_nothing_that_counts(
    servers: Infrastructure,
) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            source.hold()
            slow = asyncio.create_task(ground.number(source))
            await source.reached(2)
            await ground.change(source, 2)
            prompt = Source(2)
            assert await ground.number(prompt) == 2

            source.release()
            assert await slow == 1
            # The slow reader's entry stands in the slot now.
            assert await ground.number(prompt) == 2

    asyncio.run(run())


def test_what_is_read_while_a_change_is_committed_is_not_remembered(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source()
            await ground.number(source)
            # Twice: what was stored under the mark of the first change would be found under that of the second.
            for value in (1, 2, 3):
                async with ground.cache.changing() as about_to_commit:
                    await about_to_commit()
                    assert await ground.number(source) == value - 1
                    source.value = value
                    assert await ground.number(source) == value, "committed, though not acknowledged yet"
                assert await ground.number(source) == value

    asyncio.run(run())


def test_a_reader_that_began_during_a_change_and_ends_behind_it_is_not_believed(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            source.hold()
            async with ground.cache.changing() as about_to_commit:
                await about_to_commit()
                slow = asyncio.create_task(ground.number(source))
                await source.reached(2)
                source.value = 2
            source.release()
            assert await slow == 1
            assert await ground.number(source) == 2

    asyncio.run(run())


def test_a_change_that_ends_while_another_is_being_committed(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source)
            async with ground.cache.changing() as about_to_commit:
                await about_to_commit()
                await ground.change(Source(), 9)
                # The other one's token stands now; this reader may store under it, and nobody may believe that.
                assert await ground.number(source) == 1
                source.value = 2
            assert await ground.number(source) == 2

    asyncio.run(run())


def test_a_change_that_fails_leaves_what_is_true(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url, database_statement_seconds=0.1) as ground:
            source = Source(1)
            await ground.number(source)
            try:
                async with ground.cache.changing() as about_to_commit:
                    await about_to_commit()
                    raise ConnectionResetError("during the commit")
            except ConnectionResetError:
                source.value = 2  # nobody knows whether it was committed: it was
            assert await ground.number(source) == 2
            await heals(ground, source)

    asyncio.run(run())


def test_a_process_that_dies_before_it_says_that_it_is_done(servers: Infrastructure) -> None:
    """Between ``begin_change`` and ``new_generation``: the mark keeps everybody off, until it expires."""

    async def run() -> None:
        async with remembering(servers.redis_url, database_statement_seconds=0.15) as ground:
            source = Source(1)
            await ground.number(source)
            server = ground.cache.server
            await server.begin_change()
            source.value = 2
            began = time.monotonic()
            assert 0 < await ground.redis.pttl(ground.generation_key) <= 300
            while await ground.redis.get(ground.generation_key) == UNSURE:
                assert await ground.number(source) == 2
                assert time.monotonic() < began + 10
            # The generation is none of those that were: what was stored before the change stays void.
            assert await ground.number(source) == 2
            await heals(ground, source)
            assert await ground.redis.pttl(ground.generation_key) == -1

    asyncio.run(run())


def test_readers_and_writers_at_random(servers: Infrastructure) -> None:
    """Two instances, six writers, and readers of all speeds: none is told what was replaced before it asked."""

    async def run() -> None:
        chance = random.Random(5)
        acknowledged = [0] * 4
        current = [0] * 4
        reads = 0
        turns = [asyncio.Lock() for _ in current]
        began, hits = time.monotonic(), counted(Found.HIT)

        def over() -> bool:
            """Some time has passed, and there was something to see in it, or a machine is too busy for that."""
            seconds = time.monotonic() - began
            if seconds < 1.5:
                return False
            return seconds > 20 or (min(acknowledged) > 1 and reads > 300 and counted(Found.HIT) > hits + 30)

        async with (
            remembering(servers.redis_url) as ground,
            remembering(servers.redis_url, prefix=ground.prefix) as other,
        ):

            async def write(ground: Ground) -> None:
                while not over():
                    key = chance.randrange(4)
                    # As rows are locked in the database; changes of different rows overlap.
                    async with turns[key], ground.cache.changing() as about_to_commit:
                        await asyncio.sleep(chance.random() * 0.005)
                        await about_to_commit()
                        await asyncio.sleep(chance.random() * 0.005)
                        current[key] += 1
                        committed = current[key]
                    acknowledged[key] = max(acknowledged[key], committed)
                    await asyncio.sleep(chance.random() * 0.3)

            async def read(ground: Ground) -> None:
                nonlocal reads

                async def load() -> int:
                    value = current[key]
                    await asyncio.sleep(chance.random() ** 4 * 0.05)
                    return value

                while not over():
                    key = chance.randrange(4)
                    known = acknowledged[key]
                    value = NUMBERS.decode(await ground.cache.json(Place.of(NUMBERS, key), load))
                    assert known <= value <= current[key]
                    reads += 1

            async with asyncio.TaskGroup() as group:
                for instance in (ground, other):
                    for _ in range(3):
                        group.create_task(write(instance))
                    for _ in range(15):
                        group.create_task(read(instance))
            assert min(acknowledged) > 1
            assert reads > 300
            assert counted(Found.HIT) > hits + 30

    asyncio.run(run())
