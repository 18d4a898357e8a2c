"""The HTTP client between the platform's processes: aiohttp's connections and parser, without the session on top.

``ClientSession`` makes a URL, two maps of headers, a request, a writer and a response of each request, for cookies,
redirects, proxies, authentication and compression that no call between these processes has. Here a request is one
write, and its answer is what the parser says. A bare hop takes less than half of the CPU for it
(docs/decisions/0002-gateway-raw-asgi-aiohttp.md).

From aiohttp come the pool, with its limit, its line in order of arrival, its name resolution and time-outs; the parser;
and the stream of an answer's body, which holds the sender back while nobody reads. The connector and the protocol that
this takes them from are less public than the session: a new aiohttp must pass ``tests/unit/common/test_http_client.py``
and ``tests/gateway``.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from aiohttp.streams import StreamReader
from yarl import URL

# RFC 9110, 9.2.2: sending these twice means no more than sending them once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

# RFC 9110, 8.6: who may have sent a body and has none says so, but for those that nobody expects one of.
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

# What an answer holds of its body while nobody reads it.
READ_BUFFER_BYTES = 65_536

# Processes that a client knows at once, with room for those that have been replaced.
_ORIGINS = 256

Body = bytes | AsyncIterator[bytes] | None
Headers = Sequence[tuple[bytes, bytes]]

BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""What is raised when a connection breaks; ``NOT_CONNECTED``, when there has been none, is of the same family."""

NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No request was sent: it may be sent elsewhere, whatever its method."""


class AnswerNotHttp(aiohttp.ClientError):
    """What came is no answer in HTTP."""


class _Origin(NamedTuple):
    """Where requests are sent.

    Attributes:
        request: stands for all of them where the connector asks for one, to see where to connect to.
        prefix: of the path.
    """

    request: ClientRequest
    host: bytes
    prefix: bytes


class HttpClient:
    """Sends requests over pooled connections.

    Requests beyond ``connections`` wait for one in order of arrival, until whoever sends them gives them up: the line
    is in front of the service, where waiting costs nothing but memory. Requests that are repeated have as many again.
    """

    def __init__(self, *, connections: int, connect_seconds: float | None = None, idle_seconds: float = 15.0) -> None:
        """
        Args:
            connections: to one address at once.
            connect_seconds: until a new connection stands.
            idle_seconds: for which an unused connection is kept.
        """
        self._connections = connections
        self._idle_seconds = idle_seconds
        self._timeout = aiohttp.ClientTimeout(sock_connect=connect_seconds)
        self._origin = lru_cache(maxsize=_ORIGINS)(_origin)
        self._pooled: aiohttp.TCPConnector | None = None
        self._fresh: aiohttp.TCPConnector | None = None

    async def open(self) -> None:
        """Must run on the event loop that will use the client."""
        self._pooled = aiohttp.TCPConnector(
            limit=0, limit_per_host=self._connections, keepalive_timeout=self._idle_seconds
        )
        self._fresh = aiohttp.TCPConnector(limit=0, limit_per_host=self._connections, force_close=True)

    async def close(self) -> None:
        for connector in (self._pooled, self._fresh):
            if connector is not None:
                await connector.close()

    async def send(
        self, base_url: str, method: str, target: bytes, headers: Headers, body: Body = None, length: int | None = None
    ) -> HttpAnswer:
        """``ask``, once more on a new connection where an idempotent request's broke before the answer.

        Most likely the service had closed a pooled one, or was just restarted. A streamed body cannot be sent again.
        """
        try:
            return await self.ask(base_url, method, target, headers, body, length)
        except BROKEN as broken:
            if isinstance(broken, NOT_CONNECTED) or not may_repeat(method, body):
                raise
        return await self.ask(base_url, method, target, headers, body, length, fresh=True)

    async def ask(
        self,
        base_url: str,
        method: str,
        target: bytes,
        headers: Headers,
        body: Body = None,
        length: int | None = None,
        *,
        fresh: bool = False,
    ) -> HttpAnswer:
        """The answer to a request that is sent once, its body not yet read; it must be read to its end or closed.

        Args:
            target: path and query, percent-encoded; they arrive byte for byte.
            headers: all that arrives but Host and what says how long the body is.
            length: of a streamed body, where it is known; without it the body goes out in chunks.
            fresh: on a connection of its own.

        Raises:
            aiohttp.ClientError: no connection, a broken one, or an answer that is not HTTP.
            ValueError: a header that is none.
        """
        connector = self._fresh if fresh else self._pooled
        if connector is None:
            raise RuntimeError("HttpClient.open() was not awaited")
        origin = self._origin(base_url)
        head = _head(origin, method, target, headers, _framing(method, body, length))
        connection = await self._connected(connector, origin, method)
        try:
            return await _exchange(connection, method, head, body, length)
        except BaseException:
            connection.close()
            raise

    async def _connected(self, connector: aiohttp.TCPConnector, origin: _Origin, method: str) -> Connection:
        """A connection, and none that the service has closed, or on which it has said what nobody asked for.

        A closed connection is noticed when the event loop reads its end; in between it looks alive. A request that must
        not be sent twice cannot be repeated, so for those the socket itself is asked: an idle one has nothing to read.
        """
        try:
            for _ in range(self._connections):
                connection = await connector.connect(origin.request, [], self._timeout)
                protocol = connection.protocol
                stale = protocol is None or protocol.should_close
                if not stale and (method in IDEMPOTENT or not _has_input(connection)):
                    return connection
                connection.close()
            return await connector.connect(origin.request, [], self._timeout)
        except TimeoutError as slow:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {origin.host.decode()}") from slow


class HttpAnswer:
    """An answer: its head, and its body as it arrives.

    The connection goes back into the pool with the last byte of the body; ``close`` closes it, if it is still there.

    Attributes:
        headers: as they came, names in whatever case.
        length: of the body, if it was announced.
    """

    __slots__ = ("_connection", "_content", "_has_ended", "_upload", "headers", "length", "status")

    def __init__(
        self,
        message: RawResponseMessage,
        content: StreamReader,
        connection: Connection,
        upload: asyncio.Task[None] | None,
    ) -> None:
        self.status: int = message.code
        self.headers: Headers = message.raw_headers
        announced = message.headers.get(hdrs.CONTENT_LENGTH)
        self.length = int(announced) if announced is not None else None
        self._content = content
        self._connection = connection
        self._upload = upload
        self._has_ended = False
        content.on_eof(self._end)  # at once, where all of it is there
        if upload is not None and not self._has_ended:
            upload.add_done_callback(self._uploaded)

    async def read(self) -> bytes:
        """The whole body; the answer has ended then, whatever comes of it.

        Raises:
            aiohttp.ClientError: it broke off, or was closed.
        """
        try:
            return await self._content.read()
        except BaseException:
            self.close()
            raise

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; raises as ``read``."""
        try:
            async for chunk in self._content.iter_any():
                yield chunk
        except BaseException:
            self.close()
            raise

    def on_end(self, callback: Callable[[], None]) -> None:
        """``callback`` is called when the answer has been received to its end, or was closed: now, if it was."""
        if self._has_ended:
            callback()
        else:
            self._connection.add_callback(callback)

    def close(self) -> None:
        """Gives up what has not come yet. Does nothing to an answer that has ended."""
        if not self._has_ended:
            self._has_ended = True
            if self._upload is not None:
                self._upload.cancel()
            self._connection.close()
            self._fail(aiohttp.ClientConnectionError("the answer was closed"))

    def _end(self) -> None:
        transport = self._connection.transport
        unsent = transport is not None and transport.get_write_buffer_size() > 0
        if unsent or (self._upload is not None and not self._upload.done()):
            self.close()  # it was answered before it was heard to its end
        elif not self._has_ended:
            self._has_ended = True
            self._connection.release()

    def _uploaded(self, upload: asyncio.Task[None]) -> None:
        """Whoever reads is told of what would never come."""
        failed = _failure(upload)
        if failed is not None:
            self._fail(failed)

    def _fail(self, problem: aiohttp.ClientError) -> None:
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(problem)


def may_repeat(method: str, body: Body) -> bool:
    """Whether a request may be sent again that has perhaps arrived."""
    return method in IDEMPOTENT and (body is None or isinstance(body, bytes))


def _origin(base_url: str) -> _Origin:
    url = URL(base_url)
    request = ClientRequest("GET", url, loop=asyncio.get_running_loop())
    return _Origin(request, request.headers[hdrs.HOST].encode("ascii"), url.raw_path.rstrip("/").encode("ascii"))


def _framing(method: str, body: Body, length: int | None) -> bytes:
    """The header field that says where the body ends (RFC 9112, 6)."""
    if body is None:
        return b"" if method in _BODILESS else b"content-length: 0\r\n"
    if isinstance(body, bytes):
        length = len(body)
    return b"transfer-encoding: chunked\r\n" if length is None else b"content-length: %d\r\n" % length


def _head(origin: _Origin, method: str, target: bytes, headers: Headers, framing: bytes) -> bytes:
    head = b"%b %b%b HTTP/1.1\r\nhost: %b\r\n%b%b\r\n" % (
        method.encode("ascii"),
        origin.prefix,
        target,
        origin.host,
        framing,
        b"".join([b"%b: %b\r\n" % field for field in headers]),
    )
    # Nobody may put a second request into a field of the first.
    lines = len(headers) + (4 if framing else 3)
    if head.count(b"\r\n") != lines or head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise ValueError("a line break or a NUL in the head of a request")
    return head


async def _exchange(connection: Connection, method: str, head: bytes, body: Body, length: int | None) -> HttpAnswer:
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        raise aiohttp.ServerDisconnectedError
    protocol.set_response_params(
        skip_payload=method == "HEAD", read_until_eof=True, auto_decompress=False, read_bufsize=READ_BUFFER_BYTES
    )
    upload = None
    if body is None or isinstance(body, bytes):
        transport.write(head + body if body else head)
    else:
        transport.write(head)
        upload = asyncio.create_task(_upload(protocol, body, length))
        upload.add_done_callback(partial(_tell, protocol))
    try:
        message, content = await protocol.read()
        while 100 <= message.code < 200 and message.code != 101:  # interim: the answer is still to come
            message, content = await protocol.read()
        if message.code == 101:
            raise AnswerNotHttp("another protocol, which nobody asked for")
    except BaseException as problem:
        if upload is not None:
            upload.cancel()
        if isinstance(problem, HttpProcessingError):
            raise AnswerNotHttp(problem.message) from problem
        raise
    return HttpAnswer(message, content, connection, upload)


async def _upload(protocol: ResponseHandler, body: AsyncIterator[bytes], length: int | None) -> None:
    """Sends a body part by part.

    Raises:
        ValueError: it is not as long as it was said to be; what is too much is not sent.
    """
    writer = StreamWriter(protocol, asyncio.get_running_loop())
    left = length
    if length is None:
        writer.enable_chunking()
    async for part in body:
        if left is not None:
            left -= len(part)
            if left < 0:
                break
        await writer.write(part)
    if left:
        raise ValueError(f"a body that is not of the length {length}")
    await writer.write_eof()


def _tell(protocol: ResponseHandler, upload: asyncio.Task[None]) -> None:
    """Whoever waits for an answer is told that its request could not be sent to the end."""
    failed = _failure(upload)
    if failed is not None:
        protocol.set_exception(failed)


def _failure(upload: asyncio.Task[None]) -> aiohttp.ClientError | None:
    problem = asyncio.CancelledError() if upload.cancelled() else upload.exception()
    # That the connection has broken is told by the connection.
    if problem is None or isinstance(problem, aiohttp.ClientConnectionResetError):
        return None
    failed = aiohttp.ClientConnectionError(f"the body was not sent: {type(problem).__name__}")
    failed.__cause__ = problem
    return failed


def _has_input(connection: Connection) -> bool:
    transport: Any = connection.transport
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
