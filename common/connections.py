"""Connections to PostgreSQL: who gets one, in what order, and what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy import Dialect, PoolProxiedConnection, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from common.errors import ServiceUnavailable


class Lent(NamedTuple):
    """A connection of SQLAlchemy's pool, and the driver's own, which does the work."""

    pooled: PoolProxiedConnection
    driver: asyncpg.Connection


class Connections:
    """The pool of one service instance.

    SQLAlchemy makes the connections. Those that its pool has lent stay here when they are not used: to borrow one for
    each statement anew takes more CPU than the statement (docs/decisions/0001-asyncpg-sqlalchemy.md).
    """

    def __init__(self, engine: AsyncEngine, size: int, wait_seconds: float) -> None:
        """
        Args:
            engine: its pool has as many connections, and no overflow.
            wait_seconds: for a connection to become free.
        """
        event.listen(engine.sync_engine, "do_connect", _connect)
        self._engine = engine
        self._size = size
        self._places = asyncio.Semaphore(size)
        self._wait_seconds = wait_seconds
        self._idle: list[Lent] = []
        # A way to run synchronous SQLAlchemy on the event loop; nothing is ever done with the session itself.
        self._greenlets = AsyncSession(engine)

    async def take(self) -> Lent:
        """A connection that must be given back.

        Raises:
            ServiceUnavailable: none became free in time, or the server cannot be reached.
            asyncpg.PostgresError: the server refuses to be connected to.
        """
        await self._turn()
        try:
            # The one that was used last: the server has it in its caches, and one too many is found out.
            while self._idle:
                lent = self._idle.pop()
                if not lent.driver.is_closed():
                    return lent
                await self._throw_away(lent)
            return await self._greenlets.run_sync(lambda _: self._borrow())
        except BaseException:
            self._places.release()
            raise

    async def give_back(self, lent: Lent, *, fit: bool) -> None:
        """
        Args:
            fit: the server is done with all that it was asked. Else the connection is closed: what it was about to
                receive must not be another's.
        """
        try:
            if fit:
                self._idle.append(lent)
            else:
                await self._throw_away(lent)
        finally:
            self._places.release()

    @asynccontextmanager
    async def left_to_the_engine(self) -> AsyncIterator[None]:
        """Within the block the engine's own pool has a connection to give; raises as ``take``."""
        await self._turn()
        try:
            if self._idle:
                lent = self._idle.pop()
                leave = lent.pooled.invalidate if lent.driver.is_closed() else lent.pooled.close
                await self._greenlets.run_sync(lambda _: leave())
            yield
        finally:
            self._places.release()

    async def fill(self) -> None:
        """Makes all connections that there may be; raises as ``take``."""
        async with AsyncExitStack() as held:
            for _ in range(self._size):
                lent = await self.take()
                held.push_async_callback(self.give_back, lent, fit=True)

    async def close(self) -> None:
        """Closes those that nobody uses."""
        while self._idle:
            await self._throw_away(self._idle.pop())
        await self._engine.dispose()

    async def _turn(self) -> None:
        """A place, in order of arrival.

        The pool's own queue is not fair: a request that arrives when a connection has just been given back takes it
        before the one that was woken for it, which then waits behind everybody. With a hundred clients in a closed
        loop some starved until they got 503, while the others were served twice.
        """
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._places.acquire()
        except TimeoutError as full:
            raise ServiceUnavailable("no database connection became free in time") from full

    async def _throw_away(self, lent: Lent) -> None:
        await self._greenlets.run_sync(lambda _: lent.pooled.invalidate())

    def _borrow(self) -> Lent:
        """A connection of the engine's pool, and none of which the driver knows that the server has closed it."""
        while True:
            try:
                pooled = self._engine.sync_engine.raw_connection()
            except self._engine.dialect.loaded_dbapi.Error as refused:
                # SQLAlchemy's own name for what the driver has raised; nobody else knows it.
                raise refused.__cause__ or refused  # noqa: B904
            driver: Any = pooled.driver_connection
            if not driver.is_closed():
                return Lent(pooled, driver)
            pooled.invalidate()


def _connect(dialect: Dialect, _: object, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Makes a connection (SQLAlchemy's event ``do_connect``).

    Here, and nowhere else, any OSError means that the server cannot be reached: no route, no such host, refused at
    all of its addresses.
    """
    try:
        return dialect.connect(*arguments, **options)
    except OSError as unreachable:
        raise ServiceUnavailable(f"database: {type(unreachable).__name__}: {unreachable}") from unreachable
