"""How a service answers what goes wrong inside: the error table, and nothing that helps an attacker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.types import ASGIApp

from common.boundary import Check
from common.errors import BookingNotFound, ServiceUnavailable
from common.identity import IdentitySigner, Role, User
from common.openapi import services_only
from common.service import bounded, build_api
from common.settings import ProcessSettings

SIGNER = IdentitySigner("an identity key of thirty-two characters")
FAN = User(7, "fan@example.com", Role.USER)
LIMIT = 1000

SQL = "SELECT password_hash FROM users"
INSIDES = RuntimeError("the insides")


class Body(BaseModel):
    name: str


def service(failing: Exception | None = None, checks: Sequence[Check] = ()) -> ASGIApp:
    """A service with one call that fails, one that reads a body, one for services and one for all."""
    router = APIRouter()

    @router.get("/fails")
    async def fails() -> None:
        assert failing is not None
        raise failing

    @router.post("/reads")
    async def reads(body: Body) -> str:
        return body.name

    @router.get("/internal", dependencies=[services_only()])
    async def internal() -> str:
        return "secret"

    @router.get("/auth/open")
    async def public() -> str:
        return "open"

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        yield

    settings = ProcessSettings(port=1, max_body_bytes=LIMIT)
    return bounded(build_api("test", [router], lifespan), settings, SIGNER, checks, public=("/auth/",))


def send(app: ASGIApp, method: str, target: str, *, caller: User | None = FAN, **request: Any) -> httpx.Response:
    signed = [] if caller is None else SIGNER.headers_for(caller, method, target.encode())
    headers = {**{name.decode(): value.decode() for name, value in signed}, **request.pop("headers", {})}

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, target, headers=headers, **request)

    return asyncio.run(run())


def code(response: httpx.Response) -> tuple[int, int]:
    envelope = response.json()
    assert set(envelope) == {"code", "message", "data"}
    return response.status_code, envelope["code"]


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (BookingNotFound("of user 8"), (404, 4001)),
        (ServiceUnavailable("postgresql://owner:pw@db"), (503, 5000)),
        (OperationalError(SQL, {}, INSIDES), (503, 5000)),
        (InterfaceError(SQL, {}, INSIDES), (503, 5000)),
        (PoolTimeout("QueuePool limit"), (503, 5000)),
        (ConnectionResetError("the insides"), (503, 5000)),
        (TimeoutError("the insides"), (503, 5000)),
        (FileNotFoundError("the insides"), (500, 1003)),
        (PermissionError("the insides"), (500, 1003)),
        (IntegrityError(SQL, {}, INSIDES), (500, 1003)),
        (ProgrammingError(SQL, {}, INSIDES), (500, 1003)),
        (ZeroDivisionError("the insides"), (500, 1003)),
    ],
)
def test_every_exception_has_a_line_in_the_table(failure: Exception, expected: tuple[int, int]) -> None:
    response = send(service(failure), "GET", "/fails")

    assert code(response) == expected
    assert response.json()["data"] == {}
    assert ("retry-after" in response.headers) == (expected[0] == 503)
    for inside in ("the insides", "SELECT", "Traceback", "of user 8", "owner:pw", "QueuePool", "ZeroDivision"):
        assert inside not in response.text


def test_an_unexpected_error_is_logged_with_its_cause(caplog: pytest.LogCaptureFixture) -> None:
    send(service(ZeroDivisionError("the insides")), "GET", "/fails")
    (record,) = [record for record in caplog.records if record.name == "common.service"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_nobody_gets_in_without_an_identity_but_where_all_may() -> None:
    assert code(send(service(), "GET", "/fails", caller=None)) == (401, 2001)
    assert code(send(service(), "GET", "/nowhere", caller=None)) == (401, 2001)
    assert send(service(), "GET", "/auth/open", caller=None).json() == "open"


def test_a_public_call_does_not_believe_a_forged_identity_either() -> None:
    forged = {"X-User-Id": "1", "X-Email": "a", "X-Role": "ROLE_MANAGER"}
    assert code(send(service(), "GET", "/auth/open", caller=None, headers=forged)) == (401, 2001)


def test_a_person_may_not_ask_what_only_services_ask() -> None:
    assert code(send(service(), "GET", "/internal")) == (403, 1000)
    manager = User(1, "m@example.com", Role.MANAGER)
    assert code(send(service(), "GET", "/internal", caller=manager)) == (403, 1000)


def test_unknown_paths_and_methods() -> None:
    assert code(send(service(), "GET", "/nowhere")) == (404, 1002)
    response = send(service(), "DELETE", "/reads")
    assert code(response) == (405, 1002)
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("content", "field"),
    [
        (b"{", "body"),
        (b"", "body"),
        (b"[]", "body"),
        (b"{}", "name"),
        (b'{"name":7}', "name"),
        (b'{"name":null}', "name"),
    ],
)
def test_invalid_input_names_the_field_and_not_the_value(content: bytes, field: str) -> None:
    response = send(service(), "POST", "/reads", content=content, headers={"content-type": "application/json"})
    assert code(response) == (400, 1001)
    (problem,) = response.json()["data"]
    assert set(problem) == {"field", "message"}
    assert problem["field"] == field


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b" " * 100


@pytest.mark.parametrize("content", [b" " * (LIMIT + 1), lambda: chunks(11)])
def test_a_body_over_the_limit_is_refused(content: bytes | Callable[[], Awaitable[bytes]]) -> None:
    body = content if isinstance(content, bytes) else content()
    response = send(service(), "POST", "/reads", content=body, headers={"content-type": "application/json"})
    assert code(response) == (413, 1001)


def test_a_body_at_the_limit_is_read() -> None:
    body = json.dumps({"name": "fan"}).ljust(LIMIT).encode()
    response = send(service(), "POST", "/reads", content=body, headers={"content-type": "application/json"})
    assert response.json() == "fan"


def test_the_request_id_comes_back() -> None:
    response = send(service(), "GET", "/auth/open", caller=None, headers={"X-Request-Id": "abc"})
    assert response.headers["x-request-id"] == "abc"
    refused = send(service(), "GET", "/fails", caller=None, headers={"X-Request-Id": "abc"})
    assert refused.headers["x-request-id"] == "abc"


def test_readiness_follows_the_checks_and_liveness_does_not() -> None:
    async def broken() -> None:
        raise ConnectionRefusedError("postgresql://owner:pw@db")

    app = service(checks=[broken])
    response = send(app, "GET", "/health/ready", caller=None)
    assert code(response) == (503, 5000)
    assert "retry-after" in response.headers
    assert "owner" not in response.text
    assert code(send(app, "GET", "/health/live", caller=None)) == (200, 0)
    assert send(app, "GET", "/metrics", caller=None).status_code == 200
