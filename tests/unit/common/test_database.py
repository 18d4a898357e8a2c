"""The pool against a real server: what a cancelled read leaves behind, and what an unreachable server is called."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from common.database import Database
from common.errors import ServiceUnavailable
from common.settings import ServiceSettings
from harness.provision import Infrastructure, create_database, drop_database

Connect = Callable[[str], Database]

SLOW = text("SELECT 1, pg_sleep(0.02)")
POOL_SIZE = 4


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def make(url: str) -> Database:
        settings = {"IDENTITY_KEY": "k" * 32, "PORT": "1", "DATABASE_URL": url, "DATABASE_POOL_SIZE": str(POOL_SIZE)}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return Database(ServiceSettings())

    return make


def test_cancelled_reads_give_their_connections_back(infrastructure: Infrastructure, connect: Connect) -> None:
    async def run(database: Database) -> tuple[int, int, list[int]]:
        async def read() -> int:
            row = await database.read(lambda connection: connection.execute(SLOW).one())
            return int(row[0])

        loop = asyncio.get_running_loop()
        reads = [loop.create_task(read()) for _ in range(60)]
        # Some of them wait for their turn, some for a new connection, some for the server's answer.
        for number, task in enumerate(reads[::2]):
            loop.call_later(number * 0.005, task.cancel)
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        pool = database.engine.pool
        assert isinstance(pool, QueuePool)
        left = pool.checkedout()
        after = await asyncio.gather(*(read() for _ in range(POOL_SIZE)))
        await database.close()
        assert outcomes[1::2] == [1] * 30
        return sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes), left, after

    url = create_database(infrastructure, "cancelled_reads")
    cancelled, left, after = asyncio.run(run(connect(url)))
    drop_database(infrastructure, "cancelled_reads")
    assert cancelled > POOL_SIZE
    assert (left, after) == (0, [1] * POOL_SIZE)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "no-such-host.invalid"])
def test_a_server_that_cannot_be_reached_is_unavailable(host: str, connect: Connect) -> None:
    async def run() -> None:
        await connect(f"postgresql://nobody@{host}/nowhere").check()

    with pytest.raises(ServiceUnavailable, match="database"):
        asyncio.run(run())
