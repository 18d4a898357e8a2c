"""What concert-service says about concerts: their names for lists, and which ones a filter means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from pydantic import TypeAdapter
from pydantic_core import to_json

from common.clients import ServiceClient, understood
from common.errors import NotFound
from common.wire import WireModel


class Concert(WireModel):
    """As much of a concert as lists of bookings show."""

    id: int
    concert_name: str
    runtime: int


_CONCERTS = TypeAdapter(list[Concert])


class Concerts:
    """concert-service's concerts, as order-service sees them. Each method is one call, or raises ServiceUnavailable."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def with_ids(self, concert_ids: Iterable[int]) -> Mapping[int, Concert]:
        """Those of the concerts that exist, by id."""
        wanted = sorted(set(concert_ids))
        if not wanted:
            return {}
        found = understood(_CONCERTS, await self._client.post("/concerts/list", to_json(wanted)))
        return {concert.id: concert for concert in found}

    async def ids_of(self, *, seller_id: int | None, word: str | None) -> list[int]:
        """The concerts of a seller (None: of all) whose name contains ``word`` (None: whatever their name)."""
        match seller_id, word:
            case None, str():
                target = f"/concerts/{quote(word, safe='')}/search"
            case int(), str():
                target = f"/concerts/{seller_id}/{quote(word, safe='')}/search"
            case int(), None:
                target = f"/concerts/{seller_id}/seller"
            case _:
                raise ValueError("which concerts?")
        try:
            body = await self._client.get(target)
        except NotFound:  # a word that cannot stand in a path
            return []
        return [concert.id for concert in understood(_CONCERTS, body)]
