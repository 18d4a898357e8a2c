"""Noticing that a client has gone, so that the gateway neither waits for nor passes on what nobody reads."""

from __future__ import annotations

import asyncio
from types import TracebackType

from gateway.body import ClientGoneError
from gateway.exchange import Exchange

# A task for every request would cost 20 µs; most answers are there before it is worth one.
PATIENCE_SECONDS = 0.1


class DisconnectWatch:
    """Around the gateway's work for one request: cancels it when the client closes the connection.

    The connection to the service is closed with it. The service itself mostly finishes what it has begun: uvicorn
    tells an endpoint that its client is gone only when it asks.

    Leaving the block by that cancellation raises ``ClientGoneError``; any other cancellation stays what it is.
    """

    def __init__(self, exchange: Exchange, loop: asyncio.AbstractEventLoop) -> None:
        self._exchange = exchange
        self._loop = loop  # asking for the running loop costs a system call in Python 3.11
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._gone = False

    def begin(self) -> None:
        """Starts watching; must be called once the request's body has been read to its end."""
        self._timer = self._loop.call_later(PATIENCE_SECONDS, self._start)

    def __enter__(self) -> DisconnectWatch:
        task = asyncio.current_task(self._loop)
        assert task is not None
        self._task: asyncio.Task[object] = task
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()
        if self._gone:
            self._task.uncancel()
            if isinstance(error, asyncio.CancelledError):
                raise ClientGoneError from error

    def _start(self) -> None:
        self._watcher = self._loop.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()
