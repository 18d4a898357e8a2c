"""The HTTP client between the platform's processes: aiohttp's connections and parser, without the session on top.

``ClientSession`` makes a URL, two maps of headers, a request, a writer and a response of each request, for cookies,
redirects, proxies, authentication and compression that no call between these processes has. Here a request is one
write, and its answer is what the parser says. A bare hop takes three fifths of the CPU for it
(docs/decisions/0002-gateway-raw-asgi-aiohttp.md).

From aiohttp come the pool, with its limit, its line in order of arrival, its name resolution and time-outs; the parser;
and the stream of an answer's body, which holds the sender back while nobody reads. The connector and the protocol that
this takes them from are less public than the session: a new aiohttp must pass ``tests/gateway`` and
``tests/unit/common/test_http_client*.py``.
"""

from __future__ import annotations

import asyncio
import select
from functools import lru_cache
from typing import Any, NamedTuple

import aiohttp
from aiohttp import hdrs
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from yarl import URL

from common.http_exchange import Body, Headers, HttpAnswer, exchange, request_head

# RFC 9110, 9.2.2: sending these twice means no more than sending them once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

# Processes that a client knows at once, with room for those that have been replaced.
_ORIGINS = 256

BROKEN = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
"""What is raised when a connection breaks; ``NOT_CONNECTED``, when there has been none, is of the same family."""

NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
"""No request was sent: it may be sent elsewhere, whatever its method."""


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
        head = request_head(method, origin.prefix + target, origin.host, headers, body, length)
        connection = await self._connected(connector, origin, method)
        try:
            return await exchange(connection, method, head, body, length)
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


def may_repeat(method: str, body: Body) -> bool:
    """Whether a request may be sent again that has perhaps arrived."""
    return method in IDEMPOTENT and (body is None or isinstance(body, bytes))


def _origin(base_url: str) -> _Origin:
    url = URL(base_url)
    request = ClientRequest("GET", url, loop=asyncio.get_running_loop())
    return _Origin(request, request.headers[hdrs.HOST].encode("ascii"), url.raw_path.rstrip("/").encode("ascii"))


def _has_input(connection: Connection) -> bool:
    transport: Any = connection.transport
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
