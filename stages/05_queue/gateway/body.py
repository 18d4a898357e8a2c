"""The body of a request on its way through: read whole when small, streamed when large, refused when too large."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from common.errors import FieldProblem, InvalidInput, PayloadTooLarge
from gateway.exchange import Exchange

# One call of `receive` mostly brings this much; to stream less would cost more than it saves.
SMALL_BYTES = 65_536


class ClientGoneError(Exception):
    """The client closed the connection before its answer was complete."""


class UploadTooSlow(InvalidInput):
    """The client did not send the body in time: 408 by HTTP, invalid input by code."""

    status = 408

    def __init__(self) -> None:
        super().__init__([FieldProblem("body", "did not arrive in time")])


class RequestBody:
    """What a client uploads, at most ``limit`` bytes of it.

    Attributes:
        announced: the length that the client announced, None where it sends chunks.
        problem: why the body could not be read to its end, if it could not.
    """

    def __init__(self, exchange: Exchange, limit: int) -> None:
        """
        Raises:
            PayloadTooLarge: more than ``limit`` bytes are announced; nothing of them is read.
            InvalidInput: the announced length is no number.
        """
        self._exchange = exchange
        self._limit = limit
        self._whole: bytes | None = None
        self.problem: PayloadTooLarge | ClientGoneError | None = None
        length = exchange.fields.get(b"content-length")
        chunked = b"transfer-encoding" in exchange.fields
        if length is not None and not length.isdigit():
            raise InvalidInput.of("content-length", "must be a number")
        self.announced: int | None = None if chunked else int(length or 0)
        if self.announced is not None and self.announced > limit:
            raise PayloadTooLarge(limit)

    @property
    def is_small(self) -> bool:
        return self._whole is not None or (self.announced is not None and self.announced <= SMALL_BYTES)

    @property
    def streamed_length(self) -> int | None:
        """What a streamed body's length will be, if the client announced it; None for one that is read whole."""
        return None if self.is_small else self.announced

    async def read(self, seconds: float) -> bytes | None:
        """The whole of a small body, read once however often it is asked for; None where the request has none.

        Raises:
            ClientGoneError: the client did not send it to the end.
            UploadTooSlow: nor within ``seconds``.
        """
        if self.announced == 0 or self._whole is not None:
            return self._whole
        try:
            async with asyncio.timeout(seconds):
                parts = [part async for part in self._parts()]
        except TimeoutError as slow:
            raise UploadTooSlow from slow
        self._whole = parts[0] if len(parts) == 1 else b"".join(parts)
        return self._whole

    async def stream(self, at_end: Callable[[], None]) -> AsyncIterator[bytes]:
        """The parts of a large body as they arrive; ``at_end`` is called behind the last.

        What goes wrong is also kept in ``problem``: the HTTP client that reads this wraps what is raised in it.
        """
        try:
            async for part in self._parts():
                yield part
        except (PayloadTooLarge, ClientGoneError) as problem:
            self.problem = problem
            raise
        at_end()

    async def _parts(self) -> AsyncIterator[bytes]:
        received = 0
        more = True
        while more:
            message = await self._exchange.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            part: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            received += len(part)
            if received > self._limit:
                raise PayloadTooLarge(self._limit)
            if part:
                yield part
