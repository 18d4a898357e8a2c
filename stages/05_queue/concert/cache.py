"""What concert-service remembers: answers, as the bytes that go over the wire.

They are never older than the last change of a concert, schedule or venue that was acknowledged before they were asked
for, nor than their kind's seconds. Without a cache server they are made every time: slower, and nothing fails.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from concert.cache_entries import Found, Kind
from concert.cache_metrics import LOADS, REQUESTS
from concert.cache_server import UNSURE, CacheServer
from concert.settings import ConcertSettings

# A key has one of so many slots of its kind, as in a direct-mapped cache: whatever words and pages people think up,
# they displace one another, and the key space does not grow.
SLOTS = 16_384

# Larger answers (a page of 100 concerts has some 20 kB) are not stored.
MAX_BODY_BYTES = 32_768

Load = Callable[[], Awaitable[Any]]


class Place(NamedTuple):
    """Where an answer is kept."""

    kind: Kind[Any]
    digest: bytes
    slot: str

    @classmethod
    def of(cls, kind: Kind[Any], key: object) -> Place:
        """The place of the ``kind``'s value for ``key``."""
        digest = kind.digest(key)
        return cls(kind, digest, f"{kind.name}:{int.from_bytes(digest[:4]) % SLOTS}")


class Cache:
    """The answers of this service that others may be given too."""

    def __init__(self, settings: ConcertSettings) -> None:
        self.server = CacheServer(settings)
        self._kept_seconds = settings.cache_seconds
        # What is being loaded, and until when that may be given to whoever asks for it.
        self._loading: dict[tuple[bytes, bytes], tuple[asyncio.Task[bytes], float]] = {}

    async def hit(self, place: Place) -> bytes | None:
        """The JSON that is stored at ``place``, if it is good; None if not."""
        _, found, body = await self._look(place)
        if found is not Found.HIT:
            return None
        REQUESTS.labels(place.kind.name, found).inc()
        return body

    async def json(self, place: Place, load: Load) -> bytes:
        """The JSON of the value at ``place``; ``load`` makes the value where it is not at hand.

        Raises whatever ``load`` raises; that is not remembered.
        """
        generation, found, body = await self._look(place)
        loading = None
        if found is Found.UNREADABLE:
            self.server.store(place.slot, b"", expires=1)
        if found not in (Found.HIT, Found.BYPASS):
            # A load of another generation may have read what has been changed since: it is not waited for.
            loading, expires = self._loading.get((place.digest, generation), (None, 0.0))
            if loading is None or expires <= time.time():
                # The jitter keeps what was stored together from expiring together.
                expires = time.time() + place.kind.seconds * random.uniform(0.8, 1.0)
                # A task of its own: whoever asked first may hang up, and the others still get the answer.
                loading = asyncio.create_task(self._load(place, generation, load, expires))
                self._loading[place.digest, generation] = loading, expires
            elif found is not Found.UNREADABLE:
                found = Found.SHARED
        REQUESTS.labels(place.kind.name, found).inc()
        if loading is not None:
            return await asyncio.shield(loading)
        return body if found is Found.HIT else await _made(place.kind, load)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """Around a transaction that changes what is remembered. It must call what it is given before it commits, lest
        somebody reads the old state meanwhile, and remembers it as new."""
        yield self.server.begin_change
        await self.server.new_generation()

    async def _look(self, place: Place) -> tuple[bytes, Found, bytes]:
        """The generation, and what is stored at ``place`` in it."""
        generation, entry = await self.server.read(place.slot)
        if generation == UNSURE:
            return generation, Found.BYPASS, b""
        return generation, *place.kind.unpack(place.digest, generation, entry)

    async def _load(self, place: Place, generation: bytes, load: Load, expires: float) -> bytes:
        kept_seconds = 0.0
        try:
            body = await _made(place.kind, load)
            if len(body) <= MAX_BODY_BYTES:
                self.server.store(place.slot, place.kind.pack(place.digest, generation, body), expires)
            # Who asked before it was stored is told that there is nothing, and must not load it again.
            kept_seconds = self._kept_seconds
            return body
        finally:
            asyncio.get_running_loop().call_later(kept_seconds, self._loading.pop, (place.digest, generation), None)


async def _made(kind: Kind[Any], load: Load) -> bytes:
    with LOADS.labels(kind.name).time():
        return kind.encode(await load())
