"""Forwarding: one request to a service, and its answer back to the client, streamed both ways."""

from __future__ import annotations

import aiohttp

from common.context import REQUEST_ID
from common.errors import InvalidInput, ServiceUnavailable
from common.identity import IdentitySigner, User
from gateway import headers
from gateway.body import SMALL_BYTES, RequestBody
from gateway.exchange import Exchange
from gateway.metrics import UPSTREAM_FAILURES
from gateway.routes import Route
from gateway.settings import GatewaySettings
from gateway.upstream import Body, UpstreamClient
from gateway.watch import Watch, Watches


class AnswerCutError(Exception):
    """A service's answer ended midway, when a part of it had been passed on already."""


class Proxy:
    """Forwards requests, each with the identity that the gateway vouches for."""

    def __init__(self, client: UpstreamClient, signer: IdentitySigner, settings: GatewaySettings) -> None:
        self._client = client
        self._signer = signer
        self._settings = settings
        self._watches = Watches(settings.answer_seconds)

    async def forward(self, exchange: Exchange, route: Route, user: User | None, body: RequestBody) -> None:
        """Sends the request on, with its ``body`` read or not, and the answer back.

        Raises:
            ServiceUnavailable: the service cannot be reached, or does not answer in time.
            PayloadTooLarge: the request's body is larger than allowed.
            InvalidInput: the request cannot be handed on as it is.
            ClientGoneError: the client went away; the connection to the service is closed.
            AnswerCutError: the answer ended midway; the client's connection must not end as if it were whole.
        """
        target = target_of(route, exchange)
        small = await body.read(self._settings.answer_seconds) if body.is_small else None
        # Behind the upload, however slow: a signature holds for a minute.
        request_headers = self._headers(exchange, target, user)
        try:
            with Watch(exchange, self._watches) as watch:
                if body.is_small:
                    watch.body_was_read()
                content: Body = small if body.is_small else body.stream(watch.body_was_read)
                response = await self._ask(exchange, route, target, request_headers, body, content)
                try:
                    await _pass_on(exchange, route, response)
                finally:
                    response.close()
        except TimeoutError as slow:
            raise (_cut if exchange.status else _unavailable)(route, slow) from slow

    def _headers(self, exchange: Exchange, target: bytes, user: User | None) -> list[tuple[str, str]]:
        fields = headers.from_client(exchange.headers)
        client = exchange.scope.get("client")
        fields.append(("x-forwarded-for", client[0] if client else "unknown"))
        fields.append(("x-forwarded-proto", exchange.scope["scheme"]))
        fields.append(("x-forwarded-host", exchange.fields.get(b"host", b"").decode("latin-1")))
        fields.append((REQUEST_ID, exchange.request_id))
        if user is not None:
            for name, value in self._signer.headers_for(user, exchange.method, target):
                fields.append((name.decode(), value.decode()))
        return fields

    async def _ask(
        self,
        exchange: Exchange,
        route: Route,
        target: bytes,
        request_headers: list[tuple[str, str]],
        body: RequestBody,
        content: Body,
    ) -> aiohttp.ClientResponse:
        try:
            return await self._client.send(
                route.service, exchange.method, target, request_headers, content, body.streamed_length
            )
        except aiohttp.ClientError as problem:
            if body.problem is not None:
                raise body.problem from problem
            raise _unavailable(route, problem) from problem


def target_of(route: Route, exchange: Exchange) -> bytes:
    """Path and query as the service sees them, byte for byte what the client wrote behind the service's name."""
    if not exchange.query:
        return route.path
    if not exchange.query.isascii():
        raise InvalidInput.of("query", "must be percent-encoded")
    return route.path + b"?" + exchange.query


async def _pass_on(exchange: Exchange, route: Route, response: aiohttp.ClientResponse) -> None:
    answer_headers = headers.from_service(response.raw_headers)
    bodiless = exchange.method == "HEAD" or response.status in (204, 304)
    if response.status in (204, 304):
        # uvicorn counts what is announced, and a 304 may announce what it does not bring.
        answer_headers = [field for field in answer_headers if field[0] != b"content-length"]
    length = response.content_length
    try:
        if bodiless or (length is not None and length <= SMALL_BYTES):
            content = await response.read()
            await exchange.respond(response.status, answer_headers, content)
            return
    except aiohttp.ClientError as problem:
        raise _unavailable(route, problem) from problem
    await exchange.start(response.status, answer_headers)
    try:
        async for chunk in response.content.iter_any():
            await exchange.send(chunk, more=True)
    except aiohttp.ClientError as problem:
        raise _cut(route, problem) from problem
    await exchange.send(b"", more=False)


def _cut(route: Route, problem: Exception) -> AnswerCutError:
    UPSTREAM_FAILURES.labels(route.service, "broken answer").inc()
    return AnswerCutError(f"{route.service}: {type(problem).__name__}")


def _unavailable(route: Route, problem: Exception) -> ServiceUnavailable:
    """What the client is told. Only the kind of the failure is logged: a URL may hold what a log should not."""
    UPSTREAM_FAILURES.labels(route.service, type(problem).__name__).inc()
    return ServiceUnavailable(f"{route.service}: {type(problem).__name__}")
