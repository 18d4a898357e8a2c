"""The same hop with the platform's own client (``common.http_client``), which does without aiohttp's session."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from common.http_client import HttpClient
from experiments.gateway_cost.constant import live
from experiments.gateway_cost.settings import RungSettings


class LeanHop:
    def __init__(self, settings: RungSettings) -> None:
        self._upstream_url = settings.upstream_url or ""
        self._client = HttpClient(connections=1_000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._client.open()
            await live(receive, send)
            await live(receive, send)
            await self._client.close()
            return
        answer = await self._client.ask(self._upstream_url, scope["method"], scope["raw_path"], [])
        body = await answer.read()
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": body})


def create_app(settings: RungSettings) -> LeanHop:
    return LeanHop(settings)
