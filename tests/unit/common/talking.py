"""An HTTP client, and a service that says what it is told to, byte for byte over real sockets."""

from __future__ import annotations

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, ParamSpec

from common.http_client import HttpClient
from common.http_exchange import HttpAnswer

P = ParamSpec("P")

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"
NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\netag: 1\r\n\r\n"
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BEGUN = b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SILENCE = b""
CUT = b"<the service closes the connection>"


class Wire:
    """The service's end of one connection, and what it got."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.got = reader, writer, b""
        self.is_closed = asyncio.Event()

    async def hear(self, *, body: bool) -> None:
        self.got += (head := await self.reader.readuntil(b"\r\n\r\n"))
        _, announces_length, length = head.partition(b"content-length: ")
        if body and announces_length:
            self.got += await self.reader.readexactly(int(length.split(b"\r\n")[0]))
        elif body and b"chunked" in head:
            self.got += await self.reader.readuntil(b"\r\n0\r\n\r\n")

    def say(self, answer: bytes) -> None:
        self.writer.write(answer.removesuffix(CUT))
        if answer.endswith(CUT):
            self.writer.close()

    def end_unnoticed(self) -> None:
        """At once, before the client's loop, which is this one, can see it."""
        with socket.fromfd(self.writer.get_extra_info("socket").fileno(), socket.AF_INET, socket.SOCK_STREAM) as end:
            end.shutdown(socket.SHUT_WR)


class Talk:
    """A client, and a service that gives each request the next of its answers, and ``OK`` after the last."""

    def __init__(self, answers: tuple[bytes, ...], connections: int, hears_bodies: bool) -> None:
        self.client = HttpClient(connections=connections)
        self.url = ""
        self.wires: list[Wire] = []
        self.heard: asyncio.Queue[Wire] = asyncio.Queue()
        self._answers = iter(answers)
        self._hears_bodies = hears_bodies

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.wires.append(wire := Wire(reader, writer))
        try:
            while True:
                await wire.hear(body=self._hears_bodies)
                self.heard.put_nowait(wire)
                wire.say(next(self._answers, OK))
        except (asyncio.IncompleteReadError, ConnectionError) as end:
            wire.got += getattr(end, "partial", b"")
            wire.is_closed.set()
            writer.close()

    async def get(self, target: bytes = b"/") -> HttpAnswer:
        return await self.client.ask(self.url, "GET", target, [])

    async def leave_two_idle(self) -> None:
        """Comes first, and takes the first two answers, which are ``BEGUN``."""
        answers = await asyncio.gather(self.get(), self.get())
        for wire in self.wires:
            wire.say(b"done")
        assert [await answer.read() for answer in answers] == [b"halfdone"] * 2

    def targets(self) -> list[list[bytes]]:
        """What was asked for on each connection."""
        return [[line.split()[1] for line in wire.got.splitlines() if b" HTTP/1.1" in line] for wire in self.wires]


@asynccontextmanager
async def talk(*answers: bytes, connections: int = 1, hears_bodies: bool = True) -> AsyncIterator[Talk]:
    the_talk = Talk(answers, connections, hears_bodies)
    server = await asyncio.start_server(the_talk.serve, "127.0.0.1", 0)
    the_talk.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with asyncio.timeout(10):  # what waits for ever fails, before an idle connection is closed by its age
        await the_talk.client.open()
        try:
            yield the_talk
        finally:
            await the_talk.client.close()
            server.close()
        await asyncio.gather(*[wire.is_closed.wait() for wire in the_talk.wires])


def on_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*args: P.args, **options: P.kwargs) -> None:
        asyncio.run(test(*args, **options))

    return run


async def parts(*body: bytes) -> AsyncIterator[bytes]:
    for part in body:
        yield part


async def endless(is_cancelled: asyncio.Event) -> AsyncIterator[bytes]:
    yield b"a part"
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        is_cancelled.set()
        raise
