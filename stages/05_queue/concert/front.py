"""Hits, answered in front of the framework, which takes longer over a request than the cache does over its answer.

Where a target (path and query) leads to is the framework's to find out: it routes, reads the query, and refuses what is
wrong with it. But once is enough: the same target leads to the same place the next time.
"""

from __future__ import annotations

from typing import Any

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from common.wire import JSONBytes, ok_bytes
from concert.cache import Cache, Load, Place
from concert.cache_entries import Kind
from concert.resources import resources

# More targets, or longer ones, are not known by heart: somebody makes them up.
TARGETS = 4096
TARGET_BYTES = 256


async def remembered(request: Request, kind: Kind[Any], key: object, load: Load) -> JSONBytes:
    """An answer that is the same for everybody who is logged in, out of the cache or by ``load``."""
    request.scope["place"] = place = Place.of(kind, key)
    return ok_bytes(await resources(request).cache.json(place, load))


class Front:
    """``api``, but for hits on what has been ``remembered`` for the same target."""

    def __init__(self, api: ASGIApp, cache: Cache) -> None:
        self._api = api
        self._cache = cache
        self._places: dict[bytes, tuple[Place, Any]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._api(scope, receive, send)
            return
        target: bytes = scope["raw_path"] + b"?" + scope["query_string"]
        if target in self._places:
            place, scope["route"] = self._places[target]  # the route is for the metrics
            body = await self._cache.hit(place)
            if body is not None:
                await ok_bytes(body)(scope, receive, send)
                return
        await self._api(scope, receive, send)
        if "place" in scope and len(target) <= TARGET_BYTES:
            if len(self._places) >= TARGETS:
                self._places.clear()
            self._places[target] = scope["place"], scope["route"]
