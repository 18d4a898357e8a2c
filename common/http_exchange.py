"""One request over a connection of aiohttp's, and its answer (RFC 9112)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial

import aiohttp
from aiohttp import hdrs
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage, StreamWriter
from aiohttp.streams import StreamReader

# RFC 9110, 8.6: who may have sent a body and has none says so, but for those that nobody expects one of.
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

# What an answer holds of its body while nobody reads it.
READ_BUFFER_BYTES = 65_536

Body = bytes | AsyncIterator[bytes] | None
Headers = Sequence[tuple[bytes, bytes]]


class AnswerNotHttp(aiohttp.ClientError):
    """What came is no answer in HTTP."""


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


def request_head(method: str, target: bytes, host: bytes, headers: Headers, body: Body, length: int | None) -> bytes:
    """Request line and header fields.

    Raises:
        ValueError: a line break or a NUL in one of them.
    """
    framing = _framing(method, body, length)
    fields = b"".join([b"%b: %b\r\n" % field for field in headers])
    head = b"%b %b HTTP/1.1\r\nhost: %b\r\n%b%b\r\n" % (method.encode("ascii"), target, host, framing, fields)
    # Nobody may put a second request into a field of the first.
    lines = len(headers) + (4 if framing else 3)
    if head.count(b"\r\n") != lines or head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise ValueError("a line break or a NUL in the head of a request")
    return head


async def exchange(connection: Connection, method: str, head: bytes, body: Body, length: int | None) -> HttpAnswer:
    """The answer to a request, its body not yet read.

    Raises:
        aiohttp.ClientError: the connection breaks, the body cannot be sent, or what comes is not HTTP.
    """
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


def _framing(method: str, body: Body, length: int | None) -> bytes:
    """The header field that says where the body ends (RFC 9112, 6)."""
    if body is None:
        return b"" if method in _BODILESS else b"content-length: 0\r\n"
    if isinstance(body, bytes):
        length = len(body)
    return b"transfer-encoding: chunked\r\n" if length is None else b"content-length: %d\r\n" % length


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
