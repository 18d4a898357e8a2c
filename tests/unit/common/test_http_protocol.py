"""What uvicorn writes in two calls leaves in one, and nothing is held back longer than it must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from common.http_protocol import JOINED_BYTES, JoiningProtocol, JoiningTransport


class RecordingTransport(asyncio.Transport):
    """Writes down what reaches the socket."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed_behind = -1

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed_behind = len(self.written)

    def is_closing(self) -> bool:
        return self.closed_behind >= 0

    def resume_reading(self) -> None: ...


def test_two_writes_of_one_turn_leave_as_one() -> None:
    async def run() -> list[bytes]:
        real = RecordingTransport()
        transport = JoiningTransport(real, asyncio.get_running_loop())
        transport.write(b"head ")
        transport.write(b"body")
        assert real.written == []
        await asyncio.sleep(0)
        transport.write(b"next")
        await asyncio.sleep(0)
        return real.written

    assert asyncio.run(run()) == [b"head body", b"next"]


def test_a_large_body_is_not_copied() -> None:
    async def run() -> list[bytes]:
        real = RecordingTransport()
        transport = JoiningTransport(real, asyncio.get_running_loop())
        transport.write(b"head")
        transport.write(b"x" * JOINED_BYTES)
        written = list(real.written)
        await asyncio.sleep(0)
        assert real.written == written
        return written

    assert asyncio.run(run()) == [b"head", b"x" * JOINED_BYTES]


def test_closing_sends_what_is_held_first() -> None:
    async def run() -> RecordingTransport:
        real = RecordingTransport()
        transport = JoiningTransport(real, asyncio.get_running_loop())
        transport.write(b"last words")
        transport.close()
        await asyncio.sleep(0)
        return real

    real = asyncio.run(run())
    assert real.written == [b"last words"]
    assert real.closed_behind == 1


async def _parts() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b"part %d" % number


@pytest.fixture
def streaming_app() -> tuple[Any, asyncio.Event]:
    """Answers with three parts, the last of which waits until the client has read the first two."""
    both_read = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"18")]})
        async for part in _parts():
            if part == b"part 2":
                await both_read.wait()
            await send({"type": "http.response.body", "body": part, "more_body": part != b"part 2"})

    return app, both_read


def test_a_streamed_answer_is_not_held_back(streaming_app: tuple[Any, asyncio.Event]) -> None:
    app, both_read = streaming_app

    async def run() -> bytes:
        config = uvicorn.Config(app, http=JoiningProtocol, lifespan="off", log_config=None)
        config.load()
        server = await asyncio.get_running_loop().create_server(
            lambda: JoiningProtocol(config, ServerState(), {}), "127.0.0.1", 0
        )
        async with asyncio.timeout(10), server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            await reader.readuntil(b"part 0part 1")
            both_read.set()
            rest = await reader.readexactly(len(b"part 2"))
            writer.close()
        return rest

    assert asyncio.run(run()) == b"part 2"
