"""A ``Cache`` on a real Valkey, something to remember whose readers can be held up, and a line that can be cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from urllib.parse import urlsplit

from prometheus_client import REGISTRY
from redis.asyncio import Redis

from concert.cache import Cache, Place
from concert.cache_entries import Kind
from concert.settings import ConcertSettings

PATIENCE_SECONDS = 8.0

NUMBERS = Kind("test-number", int, seconds=60)


def settings(redis_url: str, prefix: str, **changes: float) -> ConcertSettings:
    """``cache_seconds`` is long unless a test is about it: a busy machine must not look like a dead server."""
    return ConcertSettings.model_validate(
        {
            "IDENTITY_KEY": "k" * 40, "database_url": "postgresql://nobody@127.0.0.1:1/nowhere",
            "REDIS_URL": redis_url, "REDIS_PREFIX": prefix, "cache_seconds": 5.0, **changes,
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """One instance's cache, and the server past it."""

    cache: Cache
    redis: Redis
    prefix: str

    @property
    def generation_key(self) -> str:
        return f"{self.prefix}cache:generation"

    async def entries(self) -> list[str]:
        """The keys of all entries."""
        keys = [key.decode() async for key in self.redis.scan_iter(f"{self.prefix}cache:*", count=1000)]
        return sorted(key for key in keys if key != self.generation_key)

    async def number(self, source: Source, key: object = "key") -> int:
        """What the cache gives for ``key``, once whatever it wants to store is stored."""
        body = await self.cache.json(Place.of(NUMBERS, key), source.load)
        await self.settled()
        return NUMBERS.decode(body)

    async def settled(self) -> None:
        """Returns when what is to be stored has been."""
        storing = self.cache.server._tasks.get("store")
        if storing is not None:
            await asyncio.wait_for(asyncio.shield(storing), PATIENCE_SECONDS)

    async def change(self, source: Source, value: int) -> None:
        """A whole change, acknowledged when this returns."""
        async with self.cache.changing() as about_to_commit:
            await about_to_commit()
            source.value = value


class Source:
    """What the database says, for readers that can be held up between their reading and their answer."""

    def __init__(self, value: int = 0) -> None:
        self.value = value
        self.loads = 0
        self._open = asyncio.Event()
        self._open.set()

    async def load(self) -> int:
        self.loads += 1
        value = self.value
        await self._open.wait()
        return value

    def hold(self) -> None:
        """Whoever has read now keeps it to himself, until ``release``."""
        self._open = asyncio.Event()

    def release(self) -> None:
        self._open.set()

    async def reached(self, loads: int) -> None:
        """Returns when so many readers have read."""
        await until(lambda: _truth(self.loads >= loads))


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Returns when the condition holds, which it must do soon."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, "it has not come true"
        await asyncio.sleep(0.005)


async def _truth(value: bool) -> bool:
    return value


async def heals(ground: Ground, source: Source) -> None:
    """Remembers again, and says nothing but the truth on the way."""

    async def remembered() -> bool:
        loads = source.loads
        assert await ground.number(source) == source.value
        return source.loads == loads

    await until(remembered)


def counted(outcome: str, kind: Kind[int] = NUMBERS) -> float:
    """How many answers have been counted under this outcome, in this process."""
    labels = {"kind": kind.name, "outcome": outcome}
    return REGISTRY.get_sample_value("concert_cache_requests_total", labels) or 0.0


@asynccontextmanager
async def remembering(
    redis_url: str, *, through: str | None = None, prefix: str | None = None, **changes: float
) -> AsyncIterator[Ground]:
    """A cache under a prefix of its own, where ``prefix`` does not name another's.

    Args:
        redis_url: the server.
        through: the URL under which the cache is to know it, if another.
        changes: of the service's settings.
    """
    prefix = prefix or f"t{token_hex(4)}:"
    cache = Cache(settings(through or redis_url, prefix, **changes))
    async with Redis.from_url(redis_url) as redis:
        await cache.server.open()
        try:
            yield Ground(cache, redis, prefix)
        finally:
            await cache.server.close()


class Line:
    """A TCP line to the server that can be cut, or keep what is said on it to itself."""

    def __init__(self, redis_url: str) -> None:
        self._far = urlsplit(redis_url)
        self._writers: set[asyncio.StreamWriter] = set()
        self._passing = asyncio.Event()
        self._answering = asyncio.Event()
        self._fatal_word: bytes | None = None
        self._is_cut = False
        self._calls: set[asyncio.Task[None]] = set()
        self.connections = 0
        self.mend()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The URL of the near end."""
        near = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = near.sockets[0].getsockname()[1]
        try:
            yield f"redis://:{self._far.password}@127.0.0.1:{port}/0"
        finally:
            near.close()
            self.mend()
            self.cut()
            await asyncio.gather(*self._calls)

    def cut(self) -> None:
        """Every connection ends, and no new one stays."""
        self._is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    def silence(self) -> None:
        """Every connection stays, and nothing passes."""
        self._passing.clear()

    def silence_behind(self, word: bytes) -> None:
        """The server gets the next command that has this word in it, and acts; but nothing comes back any more."""
        self._fatal_word = word

    def mend(self) -> None:
        """Connections are taken and everything passes, what was held up included."""
        self._is_cut = False
        self._passing.set()
        self._answering.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        call = asyncio.current_task()
        assert call is not None
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
        if self._is_cut:
            writer.transport.abort()
            return
        far_reader, far_writer = await asyncio.open_connection(self._far.hostname, self._far.port)
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer, self._answering))
        except OSError:
            pass  # it was cut
        finally:
            for end in ends:
                end.transport.abort()
            self._writers -= ends

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answering: asyncio.Event | None = None
    ) -> None:
        while said := await reader.read(65_536):
            await self._passing.wait()
            if answering is not None:
                await answering.wait()
            elif self._fatal_word is not None and self._fatal_word in said:
                self._fatal_word = None
                self._answering.clear()
            writer.write(said)
            await writer.drain()
        writer.transport.abort()
