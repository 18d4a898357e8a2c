"""How one service asks another: a pooled aiohttp client that signs each call with the service's own credential."""

from __future__ import annotations

from typing import Any

import aiohttp
from yarl import URL

from common.context import REQUEST_ID, current_request_id
from common.errors import NotFound, ServiceUnavailable
from common.identity import IdentitySigner, Service


class ServiceClient:
    """Calls one other service of the platform.

    An answer of 404 is ``NotFound``, which the caller translates; anything else that is not 2xx, a time-out and a
    broken connection are ``ServiceUnavailable``: the platform says 503 with ``Retry-After``, never 500.
    """

    def __init__(
        self,
        base_url: str,
        *,
        own_name: str,
        signer: IdentitySigner,
        timeout_seconds: float = 10.0,
        connections: int = 512,
    ) -> None:
        self._base_url = base_url.rstrip("/")
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
            ServiceUnavailable: it does not answer, or answers with anything else but 2xx.
        """
        return await self._ask("GET", target)

    async def post(self, target: str, body: bytes) -> bytes:
        """The body of the answer to ``POST target`` with a JSON ``body``; raises as ``get`` does."""
        return await self._ask("POST", target, body)

    async def _ask(self, method: str, target: str, body: bytes | None = None) -> bytes:
        if self._session is None:
            raise RuntimeError("ServiceClient.open() was not awaited")
        headers: dict[str, str] = {
            name.decode(): value.decode()
            for name, value in self._signer.headers_for(self._own, method, target.encode())
        }
        headers[REQUEST_ID] = current_request_id()
        if body is not None:
            headers["content-type"] = "application/json"
        request: Any = self._session.request(
            method, URL(self._base_url + target, encoded=True), data=body, headers=headers
        )
        try:
            async with request as response:
                content: bytes = await response.read()
                status: int = response.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise ServiceUnavailable(f"{method} {self._base_url}: {type(problem).__name__}: {problem}") from problem
        if status == 404:
            raise NotFound(f"{method} {target}")
        if not 200 <= status < 300:
            raise ServiceUnavailable(f"{method} {self._base_url}{target}: HTTP {status}")
        return content
