"""Giving a request up: when its client has gone, or when its time is over, nobody waits for what nobody reads."""

from __future__ import annotations

import asyncio
from functools import cached_property
from types import TracebackType

from gateway.body import ClientGoneError
from gateway.exchange import Exchange

# Timers for each request are dear, and so is a task to see its client leave: most answers are there before it would be
# worth one, under load too (docs/decisions/0002-gateway-raw-asgi-aiohttp.md).
PERIOD_SECONDS, PATIENCE_SECONDS = 0.1, 1.0


class Watches:
    """Looks at all requests in flight, ten times a second."""

    def __init__(self, seconds: float) -> None:
        """``seconds``: that a request may take."""
        self.seconds = seconds
        self._watches: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    @cached_property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of all requests; to ask for the running one costs a system call in Python 3.11."""
        return asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._watches)

    def add(self, watch: Watch) -> None:
        self._watches.add(watch)
        if self._timer is None:
            self._timer = self.loop.call_later(PERIOD_SECONDS, self._look)

    def remove(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def _look(self) -> None:
        now = self.loop.time()
        for watch in self._watches:
            watch.look(now)
        self._timer = self.loop.call_later(PERIOD_SECONDS, self._look) if self._watches else None


class Watch:
    """Around the gateway's work for one request: cancels it when it has to be given up.

    The connection to the service is closed with it. The service itself mostly finishes what it has begun: uvicorn
    tells an endpoint that its client is gone only when it asks.

    Leaving the block by that cancellation raises ``ClientGoneError``, or ``TimeoutError`` if the time was over; any
    other cancellation stays what it is.
    """

    __slots__ = ("_began", "_cancelled", "_exchange", "_reader", "_reason", "_task", "_was_read", "_watches")

    def __init__(self, exchange: Exchange, watches: Watches) -> None:
        self._exchange = exchange
        self._watches = watches
        self._reader: asyncio.Task[None] | None = None
        self._reason: type[Exception] | None = None
        self._cancelled = 0
        self._was_read = False

    def __enter__(self) -> Watch:
        task = asyncio.current_task(self._watches.loop)
        assert task is not None
        self._task: asyncio.Task[object] = task
        self._began = self._watches.loop.time()
        self._watches.add(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watches.remove(self)
        if self._reader is not None:
            self._reader.cancel()
        for _ in range(self._cancelled):
            self._task.uncancel()
        if self._reason is not None and isinstance(error, asyncio.CancelledError):
            raise self._reason from error

    def body_was_read(self) -> None:
        """Until the request's body has been read to its end, whoever reads it sees the client leave."""
        self._was_read = True

    def look(self, now: float) -> None:
        """What is due at ``now``, by the event loop's clock."""
        waited = now - self._began
        if self._reason is not None:
            # A cancellation gets lost if it meets a time-out (Python 3.11).
            self._give_up(self._reason)
        elif waited > self._watches.seconds:
            self._give_up(TimeoutError)
        elif self._was_read and self._reader is None and waited > PATIENCE_SECONDS:
            self._reader = self._watches.loop.create_task(self._read())

    async def _read(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self._give_up(ClientGoneError)

    def _give_up(self, reason: type[Exception]) -> None:
        self._reason = self._reason or reason
        self._cancelled += 1
        self._task.cancel()
