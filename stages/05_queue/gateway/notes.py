"""What gateways and dispatchers tell one another in Redis: which ticket a request was given, and who has asked lately.

What is lost does no harm: a repeated request then gets a ticket of its own, which by its idempotency key ends as the
first does; and whoever is not known to be gone is there.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError

from common.together import Together
from gateway.settings import GatewaySettings

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 0.2
# As long as an idempotency key is good; and longer than anybody's absence is waited for.
KEPT_SECONDS = 24 * 60 * 60


class Notes:
    """Takes and finds them."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._after = settings.abandon_after_seconds
        self._redis = settings.redis(_PATIENCE_SECONDS)
        self._queued, self._seen = settings.redis_prefix + "queued:", settings.redis_prefix + "seen:"
        self._tickets = Together(self._find)

    async def close(self) -> None:
        await self._redis.aclose()

    async def ticket_of(self, request: str) -> str | None:
        """The id of the ticket that the request was given before, if it was; many are looked up at once."""
        return await self._tickets.answer(request)

    async def give(self, request: str, ticket_id: str) -> str:
        """Takes note of the request's ticket; the id of the one that it was given meanwhile, if it was."""
        name = self._queued + request
        return await self._told(self._redis.set(name, ticket_id, ex=KEPT_SECONDS, nx=True, get=True)) or ticket_id

    async def see(self, ticket_id: str) -> None:
        """The ticket's owner is there."""
        if self._after:
            await self._told(self._redis.set(self._seen + ticket_id, time.time(), ex=KEPT_SECONDS))

    async def gone(self, ticket_ids: Sequence[str]) -> Collection[str]:
        """Those whose owners have not asked for too long, where a setting says what is too long."""
        names = [self._seen + ticket_id for ticket_id in ticket_ids if self._after]
        seen = (await self._told(self._redis.mget(names)) if names else None) or []
        long_ago = time.time() - self._after
        return {one for one, at in zip(ticket_ids, seen, strict=False) if at is not None and float(at) < long_ago}

    async def _find(self, requests: list[str]) -> Mapping[str, str]:
        found = await self._told(self._redis.mget([self._queued + request for request in requests])) or []
        return {request: ticket_id for request, ticket_id in zip(requests, found, strict=False) if ticket_id}

    async def _told(self, answer: Awaitable[Any]) -> Any:
        try:
            return await answer
        except (RedisError, OSError) as problem:
            logger.info("Redis does not answer: %s", problem)
            return None
