"""What the Redis client makes of a server that breaks off, or does not answer; against a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from redis.asyncio import Redis
from redis.exceptions import ConnectionError, TimeoutError

from common.redis_client import redis_client
from harness.provision import Component, Infrastructure

PATIENCE_SECONDS = 0.3


@pytest.fixture
def url(infrastructure: Infrastructure) -> str:
    infrastructure.ensure(Component.REDIS)
    return infrastructure.redis_url


def used(url: str, use: Callable[[Redis], Awaitable[None]]) -> None:
    async def run() -> None:
        async with redis_client(url, PATIENCE_SECONDS, decode_responses=True) as client:
            await use(client)

    uvloop.run(run())


def test_a_connection_that_breaks_as_it_is_written_to_is_redis_s_own_error(url: str) -> None:
    async def use(client: Redis) -> None:
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        await connection.connect()
        connection._writer.transport.abort()  # the transport knows, and the connection does not know yet
        with pytest.raises(ConnectionError):
            await connection.send_command("PING")
        await client.connection_pool.release(connection)
        assert await client.ping()

    used(url, use)


def test_a_server_that_does_not_answer_is_waited_for_once(url: str) -> None:
    async def use(client: Redis) -> None:
        with pytest.raises(TimeoutError):
            await client.blpop(["nothing comes here"], timeout=30)

    used(url, use)


def test_answers_are_decoded_where_that_is_asked_for(url: str) -> None:
    async def use(client: Redis) -> None:
        await client.set("redis-client:word", "좌석", ex=10)
        assert await client.get("redis-client:word") == "좌석"
        async with redis_client(url, PATIENCE_SECONDS) as other:
            assert await other.get("redis-client:word") == "좌석".encode()

    used(url, use)


def test_no_server_is_a_connection_error() -> None:
    async def use(client: Redis) -> None:
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(client.ping(), 10)

    used("redis://127.0.0.1:1/0", use)
