"""What user-service says about people: who has a nickname, and which nickname somebody has."""

from __future__ import annotations

from urllib.parse import quote

from pydantic import TypeAdapter

from common.clients import ServiceClient, understood
from common.errors import NotFound
from common.wire import WireModel


class Person(WireModel):
    """As much of a user as lists and payments show."""

    user_id: int
    nickname: str


_PERSON = TypeAdapter(Person)
_PEOPLE = TypeAdapter(list[Person])


class People:
    """user-service's users, as order-service sees them. Each method is one call, or raises ServiceUnavailable."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def ids_with_nickname(self, word: str) -> list[int]:
        """The users whose nickname contains ``word``."""
        try:
            body = await self._client.get(f"/users/{quote(word, safe='')}/nickname")
        except NotFound:  # a word that cannot stand in a path, nor in a nickname
            return []
        return [person.user_id for person in understood(_PEOPLE, body)]

    async def nickname(self, user_id: int) -> str | None:
        """A user's nickname; None if there is no such user (any more)."""
        try:
            body = await self._client.get(f"/users/{user_id}")
        except NotFound:
            return None
        return understood(_PERSON, body).nickname
