"""How one service asks another: a pooled aiohttp client that signs each call with the service's own credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import aiohttp
from pydantic import TypeAdapter, ValidationError
from yarl import URL

from common.context import REQUEST_ID, current_request_id
from common.errors import NotFound, ServiceUnavailable
from common.identity import IdentitySigner, Service

T = TypeVar("T")


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
            connections: calls at once; more wait their turn.
        """
        self._address = address if callable(address) else lambda: address
        self._own = Service(own_name)
        self._signer = signer
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Must run on the event loop that will use the client."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

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
        if self._session is None:
            raise RuntimeError("ServiceClient.open() was not awaited")
        headers: dict[str, str] = {
            name.decode(): value.decode()
            for name, value in self._signer.headers_for(self._own, method, target.encode())
        }
        headers[REQUEST_ID] = current_request_id()
        if body is not None:
            headers["content-type"] = "application/json"
        base_url = self._address().rstrip("/")
        timeout = self._timeout if timeout_seconds is None else aiohttp.ClientTimeout(total=timeout_seconds)
        request: Any = self._session.request(
            method, URL(base_url + target, encoded=True), data=body, headers=headers, timeout=timeout
        )
        try:
            async with request as response:
                content: bytes = await response.read()
                status: int = response.status
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
