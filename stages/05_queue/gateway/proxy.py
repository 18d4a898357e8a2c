"""Forwarding: one request to a service, and its answer back to the client, streamed both ways."""

from __future__ import annotations

import aiohttp

from common.errors import InvalidInput, ServiceUnavailable
from common.http_exchange import Body, HttpAnswer
from common.identity import IdentitySigner, User
from gateway import headers
from gateway.body import SMALL_BYTES, RequestBody
from gateway.exchange import Exchange
from gateway.metrics import UPSTREAM_FAILURES
from gateway.routes import Route
from gateway.settings import GatewaySettings
from gateway.upstream import UpstreamClient
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
                answer = await self._ask(exchange, route, target, request_headers, body, content)
                try:
                    await _pass_on(exchange, route, answer)
                finally:
                    answer.close()
        except TimeoutError as slow:
            raise (_cut if exchange.status else _unavailable)(route, slow) from slow

    def _headers(self, exchange: Exchange, target: bytes, user: User | None) -> list[tuple[bytes, bytes]]:
        fields = headers.from_client(exchange.headers)
        client = exchange.scope.get("client")
        fields.append((b"x-forwarded-for", client[0].encode() if client else b"unknown"))
        fields.append((b"x-forwarded-proto", exchange.scope["scheme"].encode()))
        fields.append((b"x-forwarded-host", exchange.fields.get(b"host", b"")))
        fields.append(exchange.id_header)
        if user is not None:
            fields += self._signer.headers_for(user, exchange.method, target)
        return fields

    async def _ask(
        self,
        exchange: Exchange,
        route: Route,
        target: bytes,
        request_headers: list[tuple[bytes, bytes]],
        body: RequestBody,
        content: Body,
    ) -> HttpAnswer:
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


async def _pass_on(exchange: Exchange, route: Route, answer: HttpAnswer) -> None:
    answer_headers = headers.from_service(answer.headers)
    bodiless = exchange.method == "HEAD" or answer.status in (204, 304)
    if answer.status in (204, 304):
        # uvicorn counts what is announced, and a 304 may announce what it does not bring.
        answer_headers = [field for field in answer_headers if field[0] != b"content-length"]
    try:
        if bodiless or (answer.length is not None and answer.length <= SMALL_BYTES):
            content = await answer.read()
            await exchange.respond(answer.status, answer_headers, content)
            return
    except aiohttp.ClientError as problem:
        raise _unavailable(route, problem) from problem
    await exchange.start(answer.status, answer_headers)
    try:
        async for chunk in answer.chunks():
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
