"""Pools that a test has used up to here, and what must be left of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import uvloop
from sqlalchemy.pool import QueuePool

from common.database import Database

T = TypeVar("T")


class Connect(Protocol):
    """A service's pool at a database; with PostgreSQL's run-time parameters, if any."""

    def __call__(self, url: str, **session_parameters: str) -> Database: ...


POOL_SIZE = 4


def used(database: Database, use: Callable[[Database], Awaitable[T]]) -> T:
    """What ``use`` makes of it; at its end every connection is back in the pool."""

    async def run() -> T:
        try:
            return await use(database)
        finally:
            pool = database.engine.pool
            assert isinstance(pool, QueuePool)
            await database.close()
            assert pool.checkedout() == 0

    return uvloop.run(run())  # as the services have it
