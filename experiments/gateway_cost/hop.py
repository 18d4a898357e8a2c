"""The least that a gateway can do: pass a request on with aiohttp, and the answer back, in raw ASGI.

No token is looked at, nobody is vouched for, nothing is dropped, bounded, repeated, counted or watched.
"""

from __future__ import annotations

import aiohttp
from starlette.types import Receive, Scope, Send
from yarl import URL

from experiments.gateway_cost.constant import live
from experiments.gateway_cost.settings import RungSettings


class Hop:
    def __init__(self, settings: RungSettings) -> None:
        self._upstream_url = settings.upstream_url
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            connector = aiohttp.TCPConnector(limit=0)
            cookies = aiohttp.DummyCookieJar()
            async with aiohttp.ClientSession(connector=connector, cookie_jar=cookies, auto_decompress=False) as session:
                self._session = session
                await live(receive, send)
                await live(receive, send)
            return
        assert self._session is not None, "requests come after the start"
        url = URL(f"{self._upstream_url}{scope['raw_path'].decode()}", encoded=True)
        async with self._session.request(scope["method"], url) as response:
            body = await response.read()
        await send({"type": "http.response.start", "status": response.status, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": body})


def create_app(settings: RungSettings) -> Hop:
    return Hop(settings)
