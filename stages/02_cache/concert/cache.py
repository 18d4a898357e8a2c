"""What concert-service remembers: answers, as the bytes that go over the wire.

``json`` and ``value`` find an answer, or load it and remember it. What they give is never older than the last change
of a concert, schedule or venue that was acknowledged before they were asked, and never older than its kind's seconds.
Without a cache server they load every time: the platform gets slower, and nothing fails.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from concert import cache_metrics
from concert.cache_entries import Found, Kind
from concert.cache_server import CHANGING, CacheDown, CacheServer
from concert.settings import ConcertSettings

T = TypeVar("T")

# A key has one of so many slots of its kind, as in a direct-mapped cache: whatever words and pages people think up,
# they displace one another, and the key space does not grow.
SLOTS = 16_384

# Larger answers (a page of 100 concerts has 25 kB) are not stored.
MAX_BODY_BYTES = 32_768

Load = Callable[[], Awaitable[T]]


class Cache:
    """The answers of this service that others may be given too."""

    def __init__(self, settings: ConcertSettings) -> None:
        self.server = CacheServer(settings)
        self._kept_seconds = settings.cache_seconds
        # What is being loaded, and until when that may be given to whoever asks for it.
        self._loading: dict[tuple[bytes, bytes], tuple[asyncio.Task[bytes], float]] = {}

    async def json(self, kind: Kind[T], key: object, load: Load[T]) -> bytes:
        """The JSON of the ``kind``'s value for ``key``; ``load`` makes the value where it is not at hand.

        Raises:
            Whatever ``load`` raises; that is not remembered.
        """
        digest = kind.digest(key)
        slot = f"{kind.name}:{int.from_bytes(digest[:4]) % SLOTS}"
        try:
            generation, entry = await self.server.read(slot)
        except CacheDown:
            generation, entry = CHANGING, None
        if generation == CHANGING:
            _count(kind, "bypass")
            return await _load(kind, load)
        found, body = kind.unpack(digest, generation, entry)
        if found is Found.HIT:
            _count(kind, found)
            return body
        if found is Found.UNREADABLE:
            self.server.store(slot, b"", expires=1)
        loading, expires = self._loading.get((digest, generation), (None, 0.0))
        if loading is None or expires <= time.time():
            loading = self._begin_load(kind, digest, generation, slot, load)
        elif found is not Found.UNREADABLE:
            found = Found.SHARED
        _count(kind, found)
        return await asyncio.shield(loading)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Around a transaction that changes what is remembered; it must call what it is given before it commits.

        Only then does nobody read the old state while the new one is being committed, and remember it as new.
        """
        yield self.server.begin_change
        await self.server.new_generation()

    def _begin_load(
        self, kind: Kind[T], digest: bytes, generation: bytes, slot: str, load: Load[T]
    ) -> asyncio.Task[bytes]:
        """Loads for all who ask in this generation; what another one's load has read may have been changed since."""
        # The jitter keeps what was stored together from expiring together.
        expires = time.time() + kind.seconds * random.uniform(0.8, 1.0)
        # A task of its own: whoever asked first may hang up, and the others still get the answer.
        loading = asyncio.create_task(_load(kind, load))
        self._loading[digest, generation] = loading, expires

        def forget() -> None:
            if self._loading.get((digest, generation)) == (loading, expires):
                del self._loading[digest, generation]

        def remember(_: asyncio.Task[bytes]) -> None:
            failed = loading.cancelled() or loading.exception()
            if not failed and len(loading.result()) <= MAX_BODY_BYTES:
                self.server.store(slot, kind.pack(digest, generation, loading.result()), expires)
            # Who asked before it was stored is told that there is nothing, and must not load it again.
            asyncio.get_running_loop().call_later(0 if failed else self._kept_seconds, forget)

        loading.add_done_callback(remember)
        return loading


async def _load(kind: Kind[T], load: Load[T]) -> bytes:
    with cache_metrics.LOADS.labels(kind.name).time():
        return kind.encode(await load())


def _count(kind: Kind[Any], outcome: str) -> None:
    cache_metrics.REQUESTS.labels(kind.name, outcome).inc()
