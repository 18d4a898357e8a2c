"""The HTTP client towards the services: pooled, bounded, streaming."""

from __future__ import annotations

import select
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiohttp import hdrs
from aiohttp.client import ClientTimeout
from aiohttp.client_middlewares import ClientHandlerType
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from yarl import URL

from gateway.settings import GatewaySettings

# RFC 9110, 9.2.2: sending these twice means no more than sending them once.
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})

READ_BUFFER_BYTES = 65_536

# W3C Trace Context.
_TRACE_HEADERS = ("traceparent", "tracestate")

Body = bytes | AsyncIterator[bytes] | None


class ConnectionBroken(aiohttp.ClientConnectionError):
    """A service closed the connection before it answered."""


class UpstreamClient:
    """Sends requests to the services.

    Requests over ``connections_per_service`` wait for a connection in order of arrival, until whoever sends them gives
    them up: the line is in front of the service, where waiting costs nothing but memory.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._base_urls = {service: url.rstrip("/") for service, url in settings.service_urls.items()}
        self._pooled: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Must run on the event loop that will use the client."""
        limit = self._settings.connections_per_service
        self._pooled = self._session(
            _LiveConnector(limit=0, limit_per_host=limit, keepalive_timeout=self._settings.idle_connection_seconds)
        )
        self._fresh = self._session(aiohttp.TCPConnector(limit=0, limit_per_host=limit, force_close=True))

    async def close(self) -> None:
        for session in (self._pooled, self._fresh):
            if session is not None:
                await session.close()

    async def send(
        self,
        service: str,
        method: str,
        target: bytes,
        headers: list[tuple[str, str]],
        body: Body,
        length: int | None = None,
    ) -> aiohttp.ClientResponse:
        """The service's answer, its body not yet read.

        An idempotent request whose connection broke before the answer is sent once more, on a new connection: most
        likely the service had closed a pooled one, or was just restarted. A streamed body cannot be sent again.

        Args:
            target: path and query, percent-encoded; they reach the service byte for byte.
            headers: all that the service shall see but Host and what describes the body.
            length: of a streamed body, where it is known; without it the body goes out in chunks.

        Raises:
            aiohttp.ClientError: no connection, a broken one, or an answer that is not HTTP.
        """
        if self._pooled is None or self._fresh is None:
            raise RuntimeError("UpstreamClient.open() was not awaited")
        url = URL(self._base_urls[service] + target.decode("ascii"), encoded=True)
        options: dict[str, Any] = {"data": body, "middlewares": (_Attempt(headers),), "allow_redirects": False}
        if length is not None:
            options["headers"] = {hdrs.CONTENT_LENGTH: str(length)}
        try:
            return await self._pooled.request(method, url, **options)
        except ConnectionBroken:
            if method not in IDEMPOTENT or not (body is None or isinstance(body, bytes)):
                raise
        return await self._fresh.request(method, url, **options)

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            timeout=ClientTimeout(sock_connect=self._settings.connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_BUFFER_BYTES,
        )


# What aiohttp knows best: it writes the body, so it says how the body is framed.
_FRAMING = (hdrs.HOST, hdrs.CONTENT_LENGTH, hdrs.TRANSFER_ENCODING)


class _Attempt:
    """aiohttp's view of one request, corrected: a client middleware.

    The headers become those given and no others (aiohttp would add an Accept-Encoding that the client never sent),
    and are copied once (as an argument of ``request`` they are copied three times). And a request is never repeated
    over the same pool, where the next connection may be as dead as the first.
    """

    __slots__ = ("_headers",)

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self._headers = headers

    async def __call__(self, request: ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
        made = request.headers
        framing = [(name, made[name]) for name in _FRAMING if name in made]
        # Where requests are traced, aiohttp's instrumentation has put the gateway's span here.
        span = [(name, made[name]) for name in _TRACE_HEADERS if name in made]
        made.clear()
        made.extend(framing)
        made.extend(self._headers)
        if span:
            made.update(span)
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as broken:
            raise ConnectionBroken(type(broken).__name__) from broken


class _LiveConnector(aiohttp.TCPConnector):
    """Hands out no pooled connection that the service has closed.

    A closed connection is noticed when the event loop reads its end; in between it looks alive. A request that must
    not be sent twice cannot be repeated, so for those the socket itself is asked: an idle one has nothing to read.
    """

    async def connect(self, req: ClientRequest, traces: list[Any], timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109
        connection = await super().connect(req, traces, timeout)
        if req.method in IDEMPOTENT:
            return connection
        for _ in range(self.limit_per_host):
            if not _has_input(connection):
                break
            connection.close()
            connection = await super().connect(req, traces, timeout)
        return connection


def _has_input(connection: Connection) -> bool:
    transport = connection.transport
    if transport is None:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
