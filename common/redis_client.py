"""Redis as the services ask it: once, without patience, and with errors that are Redis's own."""

from __future__ import annotations

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError


class _Connection(Connection):
    """A connection whose breaking is always a ``ConnectionError``.

    uvloop's transport raises RuntimeError while it has been closed and nobody has been told yet; redis-py (8.1) expects
    OSError there. A booking was seen to be answered 500 when its lock server was killed in that moment.
    """

    async def send_packed_command(self, *arguments: Any, **options: Any) -> None:
        try:
            await super().send_packed_command(*arguments, **options)
        except RuntimeError as closed:
            raise ConnectionError(f"connection closed: {closed}") from closed


def redis_client(url: str, patience_seconds: float, **options: Any) -> Redis:
    """A client that asks once, and waits no longer than that for a connection and then for an answer.

    Repeating is the caller's business: a script that is repeated may find what it did itself.

    Args:
        options: more of redis-py's.
    """
    return Redis.from_url(
        url,
        socket_timeout=patience_seconds,
        socket_connect_timeout=patience_seconds,
        retry=Retry(NoBackoff(), 0),
        connection_class=_Connection,
        **options,
    )
