"""The cache server, as concert-service talks to it: in batches, with little patience, and not at all while it is ill.

Two things stand there: the entries, and the *generation*, a random token that every change of a concert, schedule or
venue replaces. An entry is good only in the generation in which it began to be loaded, so that one new token makes all
of them void (docs/decisions/0006-one-generation-for-the-cache.md).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar, cast

from redis.exceptions import RedisError

from common.redis_client import redis_client
from concert import cache_metrics
from concert.cache_entries import GENERATION_BYTES
from concert.settings import ConcertSettings

logger = logging.getLogger(__name__)

T = TypeVar("T")

# In place of a generation: a change is being committed, or the server does not answer.
UNSURE = b"changing"

_PROBE_SECONDS = 1.0

# The generation, and what is stored in one slot.
Stored = tuple[bytes, bytes | None]


class CacheDown(Exception):
    """The cache server cannot be reached, or does not answer in time."""


class CacheServer:
    """The connections, behind a circuit breaker: one failure opens it, and a probe in the background closes it."""

    def __init__(self, settings: ConcertSettings) -> None:
        # What would be asked again, the database answers.
        self._redis = redis_client(settings.redis_url.get_secret_value(), settings.cache_seconds)
        self._prefix = f"{settings.redis_prefix}cache:"
        self._generation_key = f"{self._prefix}generation"
        # Longer than a commit can take.
        self._change_ms = int(2000 * settings.database_statement_seconds)
        self._asking: dict[str, asyncio.Future[Stored]] = {}
        self._storing: dict[str, tuple[bytes, float]] = {}
        self._is_up = False
        self._is_closing = False
        self._missed_changes = False
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Must run on the event loop that will use it. A server that does not answer is no reason not to start."""
        await self._probe()
        self._run("watch", self._watch)

    async def close(self) -> None:
        self._is_closing = True  # a cancellation gets lost if it meets a time-out (Python 3.11)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._redis.aclose()

    async def read(self, slot: str) -> Stored:
        """The generation and what is stored in ``slot``, both as of one moment after this call.

        Whoever asks while a command is under way is served by the next one, together with everybody else who does:
        under load one command answers dozens of requests, and costs each a few microseconds instead of fifty.
        """
        if not self._is_up:
            return UNSURE, None
        if slot not in self._asking:
            self._asking[slot] = asyncio.get_running_loop().create_future()
            self._run("ask", self._ask)
        return await asyncio.shield(self._asking[slot])

    def store(self, slot: str, entry: bytes, expires: float) -> None:
        """Stores ``entry``, soon, until the moment ``expires`` (seconds since the epoch); past: removes what is there.

        A moment, not a duration: what was stuck on its way must not live longer for it.
        """
        if self._is_up:
            self._storing[slot] = (entry, expires)
            self._run("store", self._store)

    async def begin_change(self) -> None:
        """From now on nobody takes anything from the cache, until ``new_generation``.

        If that never comes, because whoever made the change died, this mark expires and a new generation begins.
        """
        await self._tell(UNSURE, self._change_ms)

    async def new_generation(self) -> None:
        """All that is stored becomes void."""
        await self._tell(secrets.token_bytes(GENERATION_BYTES))

    async def _tell(self, generation: bytes, milliseconds: int | None = None) -> None:
        if not self._is_up:
            self._missed_changes = True
            return
        with suppress(CacheDown):
            await self._answer(self._redis.set(self._generation_key, generation, px=milliseconds))

    async def _ask(self) -> None:
        while self._asking:
            waiting, self._asking = self._asking, {}
            stored: dict[str, Stored] = dict.fromkeys(waiting, (UNSURE, None))
            try:
                if self._is_up:
                    keys = [self._generation_key, *(self._prefix + slot for slot in waiting)]
                    generation, *entries = cast(list[bytes | None], await self._answer(self._redis.mget(keys)))
                    if generation is None or len(generation) != GENERATION_BYTES:
                        # The very first one, or whoever was changing something has died.
                        generation = secrets.token_bytes(GENERATION_BYTES)
                        await self._answer(self._redis.set(self._generation_key, generation))
                    stored = {slot: (generation, entry) for slot, entry in zip(waiting, entries, strict=True)}
            except CacheDown:
                pass  # as for those who ask while it is down
            finally:
                for slot, answer in waiting.items():
                    answer.set_result(stored[slot])

    async def _store(self) -> None:
        while self._storing:
            pipeline = self._redis.pipeline(transaction=False)
            storing, self._storing = self._storing, {}
            for slot, (entry, expires) in storing.items():
                pipeline.set(self._prefix + slot, entry, pxat=int(expires * 1000))
            with suppress(CacheDown):
                await self._answer(pipeline.execute())

    async def _answer(self, command: Awaitable[T]) -> T:
        try:
            return await command
        except (RedisError, OSError) as problem:
            cache_metrics.ERRORS.labels(type(problem).__name__).inc()
            if self._is_up:
                logger.warning("cache down: %s: %s", type(problem).__name__, problem)
            self._is_up = False
            self._missed_changes = True
            self._storing.clear()
            raise CacheDown from problem

    async def _watch(self) -> None:
        while not self._is_closing:
            await asyncio.sleep(_PROBE_SECONDS)
            await self._probe()

    async def _probe(self) -> None:
        """Finds out whether the server answers, and catches up with the changes that it was not told of."""
        with suppress(CacheDown):
            statistics = cast(dict[str, Any], await self._answer(self._redis.info("stats")))
            cache_metrics.EVICTED.set(statistics["evicted_keys"])
            while self._missed_changes:
                self._missed_changes = False
                await self._answer(self._redis.set(self._generation_key, secrets.token_bytes(GENERATION_BYTES)))
            if not self._is_up:
                logger.info("cache up")
            self._is_up = True

    def _run(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs ``work`` in the background, unless it is running."""
        task = self._tasks.get(name)
        if task is None or task.done():
            self._tasks[name] = asyncio.create_task(work())
