"""uvicorn's HTTP protocol, writing an answer's head together with its body.

uvicorn hands the head and the body to the transport one after the other, and uvloop makes a system call of each: two
packets on the way, and a reader that is woken twice. Joined, an answer of 5 KB costs the gateway about 10% less CPU
(docs/decisions/0002-gateway-raw-asgi-aiohttp.md); aiohttp's server joins them for the same reason.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# More than this is written at once: joining copies, which is worth it for answers of the usual size.
JOINED_BYTES = 32_768


class JoiningTransport:
    """A transport that holds what is written until the event loop comes round, and then writes it in one piece.

    Nothing waits longer than the callbacks that are due already. All else is the real transport's business.
    """

    __slots__ = ("_held", "_held_bytes", "_loop", "_transport", "get_extra_info", "is_closing", "resume_reading")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._held_bytes = 0
        # Asked for at every request.
        self.get_extra_info = transport.get_extra_info
        self.is_closing = transport.is_closing
        self.resume_reading = transport.resume_reading

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > JOINED_BYTES:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held, self._held = self._held, []
        size, self._held_bytes = self._held_bytes, 0
        if size <= JOINED_BYTES:
            held = [b"".join(held)] if held else []
        for data in held:
            self._transport.write(data)


class JoiningProtocol(HttpToolsProtocol):
    """uvicorn's protocol on a ``JoiningTransport``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(cast(asyncio.Transport, JoiningTransport(transport, self.loop)))
