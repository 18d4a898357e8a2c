"""Calls straight at a service, as another service makes them, or somebody who found its port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from common.identity import Caller, IdentitySigner, Service

SOME_SERVICE = Service("order-service")


@dataclass(frozen=True)
class Services:
    """The services of a running stage at their own addresses."""

    client: httpx.Client
    urls: Mapping[str, str]
    signer: IdentitySigner

    def signed(self, caller: Caller, method: str, target: str) -> dict[str, str]:
        """The headers by which the gateway or a service vouches for ``caller`` on this call."""
        headers = self.signer.headers_for(caller, method, target.encode())
        return {name.decode(): value.decode() for name, value in headers}

    def send(
        self, package: str, method: str, target: str, *, headers: Mapping[str, str], json: Any = None
    ) -> httpx.Response:
        """``target`` is path and query, percent-encoded."""
        content: dict[str, Any] = {} if json is None else {"json": json}
        return self.client.request(method, self.urls[package] + target, headers=dict(headers), **content)

    def ask(
        self, package: str, method: str, target: str, *, caller: Caller = SOME_SERVICE, json: Any = None
    ) -> httpx.Response:
        """A call with a proper credential of ``caller``."""
        return self.send(package, method, target, headers=self.signed(caller, method, target), json=json)
