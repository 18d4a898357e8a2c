"""Hits in front of the framework: what it would have answered, to whom it would have, and to nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated
from urllib.parse import unquote

import pytest
from fastapi import APIRouter, Query, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import ConcertNotFound
from common.identity import IdentitySigner, Role, User
from common.service import bounded, build_api
from common.wire import Id, Text, ok
from concert import front
from concert.cache_entries import Kind
from concert.front import TARGET_BYTES, Front, remembered
from concert.resources import Resources
from harness.provision import Infrastructure
from tests.unit.stages.cache.remembering import Ground, remembering, settings

SIGNER = IdentitySigner("k" * 40)
FAN, SELLER = User(7, "fan@example.com", Role.USER), User(8, "seller@example.com", Role.SELLER)

SEATS = Kind("test-seats", list[int], seconds=60)
WORDS = Kind("test-word", str, seconds=60)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


@dataclass
class House:
    """A service with a front, and what came through to its framework."""

    ground: Ground
    seats: dict[int, list[int]] = field(default_factory=lambda: {1: [1, 2], 2: [3]})
    arrived: list[bytes] = field(default_factory=list)
    """Targets that the framework was asked for."""
    types: list[str] = field(default_factory=list)
    """Kinds of connection that it was handed."""
    routes: list[str] = field(default_factory=list)
    """The route by which each answer is counted in the metrics."""

    def __post_init__(self) -> None:
        router = APIRouter()

        @router.get("/seats/{show}")
        async def seats_of(request: Request, show: Id) -> Response:
            async def load() -> list[int]:
                if show not in self.seats:
                    raise ConcertNotFound
                return self.seats[show]

            return await remembered(request, SEATS, show, load)

        @router.patch("/seats/{show}")
        async def book(show: Id) -> Response:
            return ok()

        @router.get("/words")
        async def word_of(request: Request, word: Text, more: Annotated[tuple[str, ...], Query()] = ()) -> Response:
            async def load() -> str:
                return f"{word} {more}"

            return await remembered(request, WORDS, (word, more), load)

        @router.get("/mine")
        async def mine() -> Response:
            return ok()

        @asynccontextmanager
        async def lifespan() -> AsyncIterator[None]:
            yield

        told = settings("redis://127.0.0.1:1/0", self.ground.prefix)
        api = build_api("test", [router], lifespan)
        api.state.resources = replace(Resources.of(told, SIGNER), cache=self.ground.cache)

        async def framework(scope: Scope, receive: Receive, send: Send) -> None:
            self.types.append(scope["type"])
            if scope["type"] == "http":
                self.arrived.append(scope["raw_path"] + b"?" + scope["query_string"])
                await api(scope, receive, send)

        self.front = Front(framework, self.ground.cache)

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            await self.front(scope, receive, send)
            if "route" in scope:
                self.routes.append(scope["route"].path)

        self.app: ASGIApp = bounded(counted, told, SIGNER, [])

    async def ask(self, target: str, caller: User | None = FAN, *, method: str = "GET", language: str = "ko") -> Answer:
        """What is answered, once it is remembered, to a request whose bytes are exactly these."""
        path, _, query = target.partition("?")
        signed = [] if caller is None else SIGNER.headers_for(caller, method, target.removesuffix("?").encode())
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "scheme": "http", "root_path": "",
            "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [*signed, (b"accept-language", language.encode())],
        }  # fmt: skip
        told: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            told.append(message)

        await self.app(scope, receive, send)
        await self.ground.settled()
        return Answer(told[0]["status"], b"".join(part.get("body", b"") for part in told[1:]))


def in_house(servers: Infrastructure, visit: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        async with remembering(servers.redis_url) as ground:
            house = House(ground)
            # What is asked for first finds no generation, and is not remembered.
            await house.ask("/words?word=first")
            house.arrived.clear()
            house.routes.clear()
            await visit(house)

    asyncio.run(run())


def test_what_was_remembered_is_answered_without_the_framework(servers: Infrastructure) -> None:
    async def visit(house: House) -> None:
        first = await house.ask("/seats/1")
        assert (first.status, b'"data":[1,2]' in first.body) == (200, True)
        assert [await house.ask("/seats/1"), await house.ask("/seats/1", SELLER)] == [first, first]
        assert house.arrived == [b"/seats/1?"]
        assert house.routes == ["/seats/{show}"] * 3, "and is counted as what it is"
        # Another target has its own answer.
        assert b'"data":[3]' in (await house.ask("/seats/2")).body
        english = await house.ask("/seats/1", language="en")
        assert (english != first, b'"data":[1,2]' in english.body) == (True, True)
        assert house.arrived == [b"/seats/1?", b"/seats/2?"]

    in_house(servers, visit)


def test_after_a_change_the_framework_is_asked_again(servers: Infrastructure) -> None:
    async def visit(house: House) -> None:
        for _ in range(2):
            await house.ask("/seats/1")
        async with house.ground.cache.changing() as about_to_commit:
            await about_to_commit()
            house.seats[1] = [9]
        assert b'"data":[9]' in (await house.ask("/seats/1")).body
        assert b'"data":[9]' in (await house.ask("/seats/1")).body
        assert house.arrived == [b"/seats/1?"] * 2

    in_house(servers, visit)


def test_strangers_are_refused_however_well_the_answer_is_known(servers: Infrastructure) -> None:
    async def visit(house: House) -> None:
        for _ in range(2):
            await house.ask("/seats/1")
        assert [(await house.ask("/seats/1", None)).status for _ in range(2)] == [401] * 2

    in_house(servers, visit)


def test_other_methods_and_connections_are_the_frameworks(servers: Infrastructure) -> None:
    async def visit(house: House) -> None:
        for _ in range(2):
            known = await house.ask("/seats/1")
        for method, status in {"PATCH": 200, "DELETE": 405, "HEAD": 405, "POST": 405, "get": 405}.items():
            house.arrived.clear()
            answers = [await house.ask("/seats/1", method=method) for _ in range(2)]
            assert [answer.status for answer in answers] == [status] * 2, method
            assert known not in answers
            assert len(house.arrived) == 2, method
        for kind in ("lifespan", "websocket"):
            await house.front({"type": kind, "path": "/seats/1"}, _nothing, _nowhere)
        assert house.types[-2:] == ["lifespan", "websocket"]

    in_house(servers, visit)


async def _nothing() -> Message:
    raise AssertionError("nobody reads")


async def _nowhere(_: Message) -> None:
    raise AssertionError("nobody writes")


def test_what_is_the_callers_own_or_refused_is_never_known(servers: Infrastructure) -> None:
    async def visit(house: House) -> None:
        for target, status in {"/mine": 200, "/seats/no": 400, "/nowhere": 404, "/words": 400}.items():
            house.arrived.clear()
            assert [(await house.ask(target)).status for _ in range(3)] == [status] * 3, target
            assert len(house.arrived) == 3, target

    in_house(servers, visit)


def test_what_was_not_there_is_found_when_it_is(servers: Infrastructure) -> None:
    """A target that led to 404 is known to lead to a place; there is nothing at it."""

    async def visit(house: House) -> None:
        assert [(await house.ask("/seats/5")).status for _ in range(3)] == [404] * 3
        assert len(house.arrived) == 3
        house.seats[5] = [5]
        assert [b'"data":[5]' in (await house.ask("/seats/5")).body for _ in range(2)] == [True] * 2

    in_house(servers, visit)


# In pairs or more that look alike, so that the one would be answered with the other if they were taken for the same.
HOSTILE = (
    "/seats/1", "/seats/%31", "/seats/01", "/seats/1/", "//seats/1", "/seats/1?", "/seats/1%3F", "/seats/1?x=1",
    "/seats/1%00", "/seats/1%0d%0aset-cookie:%20a", "/seats/-1", "/seats/1.0", "/seats/99999999999999999999",
    "/seats/../seats/1", "/seats/%2e%2e/seats/1", "/SEATS/1", "/seats%2F1", "/mine?/seats/1", "/seats/1;x",
    "/words?word=a", "/words?word=A", "/words?word=%61", "/words?word=a&word=b", "/words?word=b&word=a",
    "/words?word=a&more=b", "/words?more=b&word=a", "/words?word=a%26more%3Db", "/words?word=a%20b", "/words?word=a+b",
    "/words?word=a&more=b&more=c", "/words?word=a&more=b%27,%20%27c", "/words?word=%ED%95%9C", "/words?word=%ff",
    "/words?word=%00", "/words?word=%00a", "/words?WORD=a", "/words?word=a;more=b", "/words?word=a#/seats/1",
)  # fmt: skip


def test_whatever_is_made_up_gets_the_frameworks_own_answer(servers: Infrastructure) -> None:
    """Asked for the first time, again, and again when all the others are known."""

    async def visit(house: House) -> None:
        said = {target: await house.ask(target) for target in HOSTILE}
        assert {answer.status for answer in said.values()} == {200, 400, 404}
        for _ in range(2):
            for target, first in said.items():
                assert await house.ask(target) == first, target
        hits = {target for target in HOSTILE if house.arrived.count(_whole(target)) == 1}
        assert hits == {target for target, first in said.items() if first.status == 200 and "mine" not in target}

    in_house(servers, visit)


def _whole(target: str) -> bytes:
    return (target if "?" in target else f"{target}?").encode()


@pytest.mark.parametrize(("length", "is_known"), [(TARGET_BYTES, True), (TARGET_BYTES + 1, False)])
def test_a_long_target_is_not_known_by_heart(servers: Infrastructure, length: int, is_known: bool) -> None:
    async def visit(house: House) -> None:
        target = "/words?word=".ljust(length, "x")
        first = await house.ask(target)
        assert first.status == 200
        assert await house.ask(target) == first
        assert len(house.arrived) == (1 if is_known else 2)

    in_house(servers, visit)


def test_the_memory_is_bounded_and_begins_anew_at_its_limit(
    servers: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "TARGETS", 8)

    async def visit(house: House) -> None:
        async def arrive(*numbers: int) -> list[int]:
            """Which of these reach the framework, asked for in this order; each gets its own answer."""
            house.arrived.clear()
            for number in numbers:
                assert b'"data":"%d ' % number in (await house.ask(f"/words?word={number}")).body
            return [int(target.rpartition(b"=")[2]) for target in house.arrived]

        # One place is taken by what was asked for when the house was opened.
        assert await arrive(*range(7), *range(7)) == [*range(7)]
        assert await arrive(7, 7) == [7]
        # All of them had to go for it; they are learnt again, and it is still known.
        assert await arrive(*range(7), 7) == [*range(7)]
        assert await arrive(*range(8)) == []
        await arrive(*range(100, 200))
        assert len(house.front._places) <= 8

    in_house(servers, visit)
