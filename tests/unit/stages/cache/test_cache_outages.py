"""A server that is dead, silent, slow or forgetful costs time, but neither an answer nor the truth."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import REGISTRY

from concert import cache_server
from concert.cache import Cache
from harness.provision import Component, Infrastructure
from tests.unit.stages.cache.remembering import Ground, Line, Source, counted, heals, remembering, settings, until

NOBODY = "redis://127.0.0.1:1/0"


@asynccontextmanager
async def behind_a_line(servers: Infrastructure, cache_seconds: float = 0.5) -> AsyncIterator[tuple[Ground, Line]]:
    """A cache that reaches its server over a line, with a generation to begin with."""
    line = Line(servers.redis_url)
    async with (
        line.open() as near,
        remembering(servers.redis_url, through=near, cache_seconds=cache_seconds) as ground,
    ):
        await ground.number(Source(), "to have a generation")
        yield ground, line


def errors() -> float:
    family = next(metric for metric in REGISTRY.collect() if metric.name == "concert_cache_errors")
    return sum(sample.value for sample in family.samples if sample.name.endswith("_total"))


def test_without_a_server_everything_is_loaded(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url, through=NOBODY) as ground:
            source, before = Source(), counted("bypass")
            for value in range(1, 4):
                assert await ground.number(source) == value - 1
                await ground.change(source, value)
                assert await ground.number(source) == value
            assert source.loads == 6
            assert counted("bypass") == before + 6

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["cut", "silence"])
def test_a_change_that_the_server_was_not_told_of_is_seen_when_it_is_back(servers: Infrastructure, fault: str) -> None:
    async def run() -> None:
        async with behind_a_line(servers) as (ground, line):
            source = Source(1)
            await ground.number(source)
            told = errors()
            getattr(line, fault)()
            assert await ground.number(source) == 1
            assert errors() > told
            await ground.change(source, 2)
            assert await ground.number(source) == 2
            line.mend()
            await heals(ground, source)

    asyncio.run(run())


@pytest.mark.parametrize("fault", ["cut", "silence"])
def test_a_change_during_which_the_server_goes(servers: Infrastructure, fault: str) -> None:
    async def run() -> None:
        async with behind_a_line(servers) as (ground, line):
            source = Source(1)
            await ground.number(source)
            async with ground.cache.changing() as about_to_commit:
                await about_to_commit()
                source.value = 2
                getattr(line, fault)()
            assert await ground.number(source) == 2
            line.mend()
            began = time.monotonic()
            await heals(ground, source)
            assert time.monotonic() < began + 5, "the mark of the change must not stand in the way for its full time"

    asyncio.run(run())


def test_nothing_is_served_before_the_server_has_been_told(servers: Infrastructure) -> None:
    """It is back, and reads are answered; but what makes the old entries void does not get through yet."""

    async def run() -> None:
        async with behind_a_line(servers, cache_seconds=3.0) as (ground, line):
            source = Source(1)
            await ground.number(source)
            line.cut()
            await ground.number(source)
            await ground.change(source, 2)
            await ground.redis.client_pause(1500, all=False)
            connections = line.connections
            line.mend()
            await until(lambda: asyncio.sleep(0, line.connections > connections))
            began = time.monotonic()
            while time.monotonic() < began + 0.5:
                assert await ground.number(source) == 2
                await asyncio.sleep(0.01)
            await heals(ground, source)

    asyncio.run(run())


def test_a_change_while_the_server_is_being_told_of_the_last_one(servers: Infrastructure) -> None:
    """A token is set, but who set it does not know so yet; another instance remembers something under it."""

    async def run() -> None:
        async with (
            behind_a_line(servers, cache_seconds=3.0) as (ground, line),
            remembering(servers.redis_url, prefix=ground.prefix) as other,
        ):
            source = Source(1)
            line.cut()
            await ground.number(source, "to notice")
            earlier = await ground.redis.get(ground.generation_key)
            line.mend()
            line.silence_behind(ground.generation_key.encode())

            async def is_told() -> bool:
                return await ground.redis.get(ground.generation_key) != earlier

            await until(is_told)
            assert await other.number(source) == 1
            await ground.change(source, 2)
            assert await ground.number(source) == 2
            line.mend()
            await heals(ground, source)
            assert await other.number(source) == 2

    asyncio.run(run())


def test_what_was_stuck_on_its_way_does_no_harm(servers: Infrastructure) -> None:
    """Commands that were given up reach the server after all, when it goes on."""

    async def run() -> None:
        async with behind_a_line(servers, cache_seconds=0.2) as (ground, line):
            source = Source(1)
            await ground.number(source)
            source.hold()
            slow = asyncio.create_task(ground.number(source, "another"))
            await source.reached(2)
            line.silence()
            source.release()
            await slow
            for value in (2, 3):
                await ground.change(source, value)
                assert await ground.number(source) == value
            line.mend()
            await heals(ground, source)
            assert await ground.number(source, "another") == 3

    asyncio.run(run())


def test_a_silent_server_is_waited_for_once(servers: Infrastructure) -> None:
    async def run() -> None:
        async with behind_a_line(servers, cache_seconds=0.3) as (ground, line):
            source = Source(1)
            line.silence()
            began = time.monotonic()
            await asyncio.gather(*(ground.number(source, key) for key in range(200)))
            assert 0.25 < time.monotonic() - began < 2
            began = time.monotonic()
            for key in range(200):
                assert await ground.number(source, key) == 1
            assert time.monotonic() - began < 2

    asyncio.run(run())


def test_a_server_that_was_not_there_at_the_start_is_used_when_it_comes(servers: Infrastructure) -> None:
    async def run() -> None:
        line = Line(servers.redis_url)
        line.cut()
        async with line.open() as near, remembering(servers.redis_url, through=near, cache_seconds=0.5) as ground:
            source = Source(1)
            assert await ground.number(source) == 1
            line.mend()
            await heals(ground, source)

    asyncio.run(run())


def test_a_server_that_has_forgotten_everything(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            await ground.number(source)
            await ground.redis.flushdb()
            source.value = 2  # of no importance: nothing is left that could say otherwise
            await heals(ground, source)

    asyncio.run(run())


def test_a_server_that_comes_back_with_what_it_knew_earlier(servers: Infrastructure) -> None:
    """It has lost its last second, as after a power cut, or a replica has taken over that was behind."""

    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            source = Source(1)
            await ground.number(source, "to have a generation")
            await ground.number(source)
            keys = [ground.generation_key, *await ground.entries()]
            earlier = {key: await ground.redis.dump(key) or b"" for key in keys}
            await ground.change(source, 2)
            assert await ground.number(source) == 2

            for key, dumped in earlier.items():
                await ground.redis.restore(key, 0, dumped, replace=True)
            await ground.redis.client_kill_filter(_type="normal", skipme=True)
            for _ in range(5):
                assert await ground.number(source) == 2

    asyncio.run(run())


def test_a_server_that_is_killed_and_back_at_once(servers: Infrastructure) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url, cache_seconds=0.5) as ground:
            process = servers.server(Component.REDIS).process
            assert process is not None
            source = Source(1)
            await ground.number(source, "to have a generation")
            await ground.number(source)
            process.kill()
            assert await ground.number(source) == 1
            await ground.change(source, 2)
            await asyncio.to_thread(servers.restart, Component.REDIS)
            assert await ground.redis.exists(*await ground.entries()), "it comes back with what was stored"
            await heals(ground, source)

    asyncio.run(run())


@pytest.mark.parametrize("seconds", [0.001, 1.0])
def test_a_service_can_stop_whatever_the_probe_is_doing(
    servers: Infrastructure, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    monkeypatch.setattr(cache_server, "_PROBE_SECONDS", seconds)

    async def run() -> None:
        for number in range(40 if seconds < 1 else 1):
            cache = Cache(settings(servers.redis_url, "stopping:"))
            await cache.server.open()
            await asyncio.sleep(0.002 + number * 0.0003)
            closing = asyncio.create_task(cache.server.close())
            done, _ = await asyncio.wait({closing}, timeout=3)
            stuck = [task for task in asyncio.all_tasks() if not task.done() and task is not asyncio.current_task()]
            for task in stuck:
                task.cancel()
            assert done, stuck

    asyncio.run(run())
