"""How one service asks another: each call is signed with the service's own credential."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import aiohttp
from pydantic import TypeAdapter, ValidationError

from common.context import REQUEST_ID, current_request_id
from common.errors import NotFound, ServiceUnavailable
from common.http_client import HttpClient
from common.identity import IdentitySigner, Service

T = TypeVar("T")

_REQUEST_ID = REQUEST_ID.encode()
_JSON = (b"content-type", b"application/json")


class AnswerUnusable(ServiceUnavailable):
    """Another service is there, but what it says to this request is of no use: waiting may not mend it."""


class ServiceClient:
    """Calls one other service of the platform.

    An answer of 404 is ``NotFound``, which the caller translates; anything else that is not 2xx, a time-out and a
    broken connection are ``ServiceUnavailable``: the platform says 503 with ``Retry-After``, never 500.
    """

    def __init__(
        self,
        address: str | Callable[[], str],
        *,
        own_name: str,
        signer: IdentitySigner,
        timeout_seconds: float = 10.0,
        connections: int = 512,
    ) -> None:
        """
        Args:
            address: the other service's base URL; or what gives it, asked anew for each call, where the service has
                several instances.
            timeout_seconds: for a whole answer, the wait for a connection included.
            connections: calls at once to one address; more wait their turn.
        """
        self._address = address if callable(address) else lambda: address
        self._own = Service(own_name)
        self._signer = signer
        self._timeout_seconds = timeout_seconds
        self._client = HttpClient(connections=connections)

    async def open(self) -> None:
        """Must run on the event loop that will use the client."""
        await self._client.open()

    async def close(self) -> None:
        await self._client.close()

    async def get(self, target: str) -> bytes:
        """The body of the answer to ``GET target`` (path and query, percent-encoded).

        Raises:
            NotFound: the other service says 404.
            ServiceUnavailable: it does not answer, or not now (503).
            AnswerUnusable: it answers with anything else but 2xx.
        """
        return await self._ask("GET", target)

    async def post(self, target: str, body: bytes, *, timeout_seconds: float | None = None) -> bytes:
        """The body of the answer to ``POST target`` with a JSON ``body``; raises as ``get`` does.

        Args:
            timeout_seconds: for this call, in place of the client's.
        """
        return await self._ask("POST", target, body, timeout_seconds)

    async def _ask(
        self, method: str, target: str, body: bytes | None = None, timeout_seconds: float | None = None
    ) -> bytes:
        headers = [
            *self._signer.headers_for(self._own, method, target.encode()),
            (_REQUEST_ID, current_request_id().encode()),
        ]
        if body is not None:
            headers.append(_JSON)
        base_url = self._address().rstrip("/")
        try:
            async with asyncio.timeout(timeout_seconds or self._timeout_seconds):
                answer = await self._client.send(base_url, method, target.encode(), headers, body)
                content, status = await answer.read(), answer.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise ServiceUnavailable(f"{method} {base_url}: {type(problem).__name__}: {problem}") from problem
        if status == 404:
            raise NotFound(f"{method} {target}")
        if not 200 <= status < 300:
            refusal = ServiceUnavailable if status == 503 else AnswerUnusable
            raise refusal(f"{method} {base_url}{target}: HTTP {status}")
        return content


def understood(shape: TypeAdapter[T], answer: bytes) -> T:
    """What another service's ``answer`` says.

    Raises:
        AnswerUnusable: it is not of that ``shape``: whoever answered is not the service that was meant.
    """
    try:
        return shape.validate_json(answer)
    except ValidationError as problem:
        raise AnswerUnusable(f"an answer that cannot be read: {problem.error_count()} problems") from problem
