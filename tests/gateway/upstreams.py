"""Real HTTP servers for the gateway to forward to: one that tells what it saw, and one that misbehaves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]


class Echo:
    """A service that answers with the request as it arrived.

    Attributes:
        cancelled: set once a client of ``/slow`` went away before its answer.
        entered: set once a request is inside ``/slow``.
        finish: lets the requests inside ``/slow`` be answered.
    """

    def __init__(self) -> None:
        self.cancelled = threading.Event()
        self.entered = threading.Event()
        self.finish = threading.Event()
        self.app = Starlette(
            routes=[
                Route("/streamed/{size:int}", self._streamed),
                Route("/sized/{size:int}", self._sized),
                Route("/status/{status:int}", self._status),
                Route("/connection-headers", self._connection_headers),
                Route("/slow", self._slow),
                Route("/{path:path}", self._echo, methods=METHODS),
            ]
        )

    def reset(self) -> None:
        for event in (self.cancelled, self.entered, self.finish):
            event.clear()

    async def _echo(self, request: Request) -> Response:
        digest, length, largest = hashlib.sha256(), 0, 0
        async for part in request.stream():
            digest.update(part)
            length += len(part)
            largest = max(largest, len(part))
        target = request.scope["raw_path"]
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        seen = {
            "method": request.method,
            "target": target.decode("ascii"),
            "headers": [(name.decode(), value.decode("latin-1")) for name, value in request.scope["headers"]],
            "length": length,
            "largest_part": largest,
            "sha256": digest.hexdigest(),
        }
        return Response(json.dumps(seen), media_type="application/json")

    async def _streamed(self, request: Request) -> Response:
        return StreamingResponse(_zeros(request.path_params["size"]), media_type="application/octet-stream")

    async def _sized(self, request: Request) -> Response:
        size = request.path_params["size"]
        return StreamingResponse(_zeros(size), headers={"content-length": str(size)})

    async def _status(self, request: Request) -> Response:
        status = request.path_params["status"]
        headers = {"retry-after": "7"} if status == 503 else {}
        body = b"" if status in (204, 304) else b'{"code":5000,"message":"its own","data":{}}'
        return Response(body, status_code=status, headers=headers)

    async def _connection_headers(self, request: Request) -> Response:
        return Response(
            b"{}",
            headers={
                "Connection": "keep-alive, X-Private",
                "X-Private": "between two hops",
                "Keep-Alive": "timeout=5",
                "Proxy-Authenticate": "Basic",
                "X-Request-Id": "the-service-s-own",
                "X-Public": "for all",
                "Set-Cookie": "a=1",
            },
        )

    async def _slow(self, request: Request) -> Response:
        self.entered.set()
        while not self.finish.is_set():
            if await request.is_disconnected():
                self.cancelled.set()
                break
            await asyncio.sleep(0.01)
        return Response(b'{"slow":true}', media_type="application/json")


async def _zeros(size: int) -> AsyncIterator[bytes]:
    part = bytes(65_536)
    for _ in range(size // len(part)):
        yield part
    yield part[: size % len(part)]


class Misbehaving:
    """A service that does, on a path, what no service should. The answers are written by hand, since no HTTP server
    would send them.

    Attributes:
        requests: how many of each reached it.
        closed: how many of its connections it has closed.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.closed = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await _read_request(reader):
                method, path, _ = head.split(" ", 2)
                self.requests[f"{method} {path}"] += 1
                if not await self._answer(path, writer):
                    break
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            self.closed += 1

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> bool:
        """Writes what the path asks for; whether the connection stays open."""
        match path:
            case "/hangs-up":
                return False
            case "/resets":
                # An unread, unsent end: SO_LINGER 0 turns close() into a reset.
                linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return False
            case "/babbles":
                writer.write(b"this is no HTTP\r\n\r\n")
            case "/breaks-off-length":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + bytes(200_000))
            case "/breaks-off-small":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + bytes(200))
            case "/breaks-off-chunked":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            case "/stalls":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + bytes(200_000))
                await writer.drain()
                await asyncio.sleep(5)
            case "/once-per-connection":
                # Promises a lasting connection, then closes it: what an idle time-out looks like from outside.
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            case "/until-close":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000)
            case _:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                await writer.drain()
                return True
        await writer.drain()
        return False


async def _read_request(reader: asyncio.StreamReader) -> str:
    """The request line; its body is read and dropped. Empty where the client is gone."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, ConnectionError):
        return ""
    for line in head.lower().split("\r\n"):
        if line.startswith("content-length:"):
            await reader.readexactly(int(line.partition(":")[2]))
    return head


@contextmanager
def running(echo: Echo, misbehaving: Misbehaving) -> Iterator[tuple[int, int]]:
    """Both servers on a thread of their own; the ports they listen on."""
    server = uvicorn.Server(uvicorn.Config(echo.app, log_config=None, server_header=False, timeout_graceful_shutdown=1))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ready: list[int] = []
        started = threading.Event()

        async def serve() -> None:
            wild = await asyncio.start_server(misbehaving.serve, "127.0.0.1", 0)
            ready.append(wild.sockets[0].getsockname()[1])
            started.set()
            async with wild:
                await server.serve(sockets=[listener])

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert started.wait(10), "the upstream servers did not start"
        try:
            yield listener.getsockname()[1], ready[0]
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()
