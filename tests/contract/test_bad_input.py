"""Input that no honest client sends: the contract's code, nothing written, and never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from common.identity import Role
from tests.contract.client import Api, outcome, refused
from tests.contract.making import (
    CONCERTS,
    LOGIN,
    SCHEDULES,
    SIGN_UP,
    USERS,
    VENUES,
    Maker,
    concert_body,
    sign_up_body,
    venue_body,
)  # fmt: skip

JSON = {"Content-Type": "application/json"}
TABLES = ["users", "concerts", "venues", "schedules"]

NO_OBJECTS = {
    "nothing": b"", "spaces": b"   ", "cut": b'{"concertName": "x"', "words": b"concertName=x", "quotes": b"{'a': 1}",
    "comma": b'{"a": 1,}', "list": b"[]", "list of objects": b"[{}]", "text": b'"text"', "number": b"7",
    "null": b"null", "true": b"true", "two": b"{}{}", "comment": b"{} // all", "not UTF-8": b'{"a": "\xff\xfe"}',
    "NUL byte": b"{\x00}", "open brackets": b"[" * 50_000,
    "deep objects": b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "xml": b"<?xml version='1.0'?><a/>",
}  # fmt: skip

NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "-1", "0", "1e2", "1" + "0" * 30, "1" + "0" * 5000, "0x10", "01"]

TEXTS = {
    "lone surrogate": r'"\ud800"', "reversed pair": r'"\udc00\ud800"', "NUL": r'"a\u0000b"', "object": '{"$gt": ""}',
    "list": '["a"]', "number": "7", "true": "true", "null": "null",
}  # fmt: skip


@pytest.fixture(scope="module")
def writes(make: Maker) -> list[tuple[Api, str, str]]:
    """Every call that writes from a body: caller, method, path."""
    manager = make.person(Role.MANAGER)
    schedule = make.schedule()
    account = make.account()
    return [
        (Api(make.http), "POST", SIGN_UP),
        (account.api, "PUT", USERS),
        (manager, "POST", CONCERTS),
        (manager, "PATCH", f"{CONCERTS}/{schedule['concertId']}"),
        (manager, "POST", VENUES),
        (manager, "PATCH", f"{VENUES}/{schedule['stageId']}"),
        (manager, "POST", SCHEDULES),
        (manager, "PATCH", f"{SCHEDULES}/{schedule['id']}"),
    ]


def everything(make: Maker) -> list[list[dict[str, Any]]]:
    """All rows of all tables that a request can write."""
    return [
        make.rows("user" if table == "users" else "concert", f"SELECT * FROM {table} ORDER BY id") for table in TABLES
    ]


@pytest.mark.parametrize("kind", NO_OBJECTS)
def test_a_body_that_is_no_object_is_invalid_input(
    kind: str, writes: list[tuple[Api, str, str]], make: Maker, nobody: Api
) -> None:
    before = everything(make)
    for caller, method, path in writes:
        caller.refused(400, 1001, method, path, content=NO_OBJECTS[kind], headers=JSON)
    nobody.refused(400, 1001, "POST", LOGIN, content=NO_OBJECTS[kind], headers=JSON)
    assert everything(make) == before


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/xml", "application/x-www-form-urlencoded"])
def test_a_body_of_another_type_is_read_as_json_or_refused(content_type: str | None, make: Maker, manager: Api) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    before = make.count("concerts")
    answer = manager.send("POST", CONCERTS, content=json.dumps(concert_body()).encode(), headers=headers)
    assert outcome(answer) in {(200, 0), (400, 1001)}
    assert make.count("concerts") == before + (answer.status_code == 200)


def test_a_character_set_may_be_named(manager: Api) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    content = json.dumps(concert_body(concertName="봄"), ensure_ascii=False).encode()
    answer = manager.send("POST", CONCERTS, content=content, headers=headers)
    assert answer.json()["data"]["concertName"] == "봄"


@pytest.mark.parametrize("literal", NUMBERS)
def test_a_number_that_is_none_is_invalid_input(literal: str, make: Maker, manager: Api) -> None:
    before = everything(make)
    for path, body, field in (
        (CONCERTS, concert_body(), "price"),
        (CONCERTS, concert_body(), "runTime"),
        (VENUES, venue_body(), "row"),
    ):
        content = json.dumps({**body, field: "HERE"}).replace('"HERE"', literal)
        manager.refused(400, 1001, "POST", path, content=content.encode(), headers=JSON)
    assert everything(make) == before


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_that_is_none_is_invalid_input(kind: str, make: Maker, manager: Api, nobody: Api) -> None:
    before = everything(make)
    for caller, path, body, fields in (
        (manager, CONCERTS, concert_body(), ["concertName"]),
        (manager, VENUES, venue_body(), ["name", "location"]),
        (nobody, SIGN_UP, sign_up_body(), ["nickname", "email", "password", "phone"]),
    ):
        for field in fields:
            content = json.dumps({**body, field: "HERE"}).replace('"HERE"', TEXTS[kind])
            problems = caller.refused(400, 1001, "POST", path, content=content.encode(), headers=JSON)
            assert [problem["field"] for problem in problems] == [field]
    assert everything(make) == before


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_10_mb_is_refused(chunked: bool, make: Maker, http: httpx.Client) -> None:
    before = everything(make)
    manager = make.person(Role.MANAGER)
    whole = json.dumps(concert_body(concertImage="x" * 10_000_000)).encode()

    def parts() -> Iterator[bytes]:
        for start in range(0, len(whole), 65_536):
            yield whole[start : start + 65_536]

    for caller, path in ((manager, CONCERTS), (Api(http), SIGN_UP), (Api(http), LOGIN)):
        answer = caller.send("POST", path, content=parts() if chunked else whole, headers=JSON)
        refused(answer, 413, 1001)

    assert everything(make) == before
    assert manager.get(CONCERTS)["number"] == 0


def test_a_body_of_half_a_megabyte_is_read(manager: Api) -> None:
    body = concert_body(unknown="x" * 500_000)
    assert manager.post(CONCERTS, body)["concertName"] == body["concertName"]


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere", "/concert-service/nowhere", "/user-service/nowhere", "/order-service/nowhere",
        "/concert-service/concerts/1/nothing", "/concert-services/concerts", "/CONCERT-SERVICE/concerts",
        "/user-service/users/1/2/3", "/concert-service/CONCERTS", "/users", "/concerts",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_unknown_path_is_not_found(method: str, path: str, buyer: Api) -> None:
    buyer.refused(404, 1002, method, path)


def test_an_unknown_public_path_is_not_found_without_a_token(nobody: Api) -> None:
    nobody.refused(404, 1002, "POST", "/user-service/auth/nothing")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", CONCERTS), ("DELETE", CONCERTS), ("PATCH", CONCERTS), ("PUT", f"{CONCERTS}/1"),
        ("POST", f"{CONCERTS}/1"),
        ("GET", SCHEDULES), ("PUT", f"{SCHEDULES}/1"), ("DELETE", VENUES), ("PUT", f"{VENUES}/1"), ("POST", USERS),
        ("DELETE", USERS), ("GET", SIGN_UP), ("GET", LOGIN), ("PUT", LOGIN),
        ("DELETE", "/order-service/bookings/seats/1"),
    ],
)  # fmt: skip
def test_a_wrong_method_is_405(method: str, path: str, make: Maker) -> None:
    before = everything(make)
    for api in (make.person(), make.person(Role.MANAGER)):
        api.refused(405, 1002, method, path)
    assert everything(make) == before


@pytest.mark.parametrize(
    "path",
    [
        "/concert-service/../user-service/users/all", "/concert-service/%2e%2e/user-service/users/all",
        "/user-service//users/all", "/user-service/users/..%2f..%2fusers/1", "/user-service/./users/1",
        "/user-service/users/%61ll", "/user-service/users/1%00", "/user-service/users/all;x=1",
        "/user-service/users/all/",
        "/user-service/auth/../users/all", "/user-service/auth/..%2fusers%2fall", "/user-service/auth/%2e%2e/users/all",
        "/concert-service/concerts/1/detail/", "/concert-service/concerts/1//detail",
        "/concert-service/concerts/1/%64etail",
    ],
)  # fmt: skip
def test_no_spelling_of_a_path_opens_a_door(path: str, buyer: Api, nobody: Api) -> None:
    """Managers' and services' calls, spelt so that a gateway and a service might read them differently."""
    with_token, without = (raw_get(api, path) for api in (buyer, nobody))
    assert outcome(with_token) in {(400, 1001), (403, 1000), (404, 1002), (404, 2000)}
    assert outcome(without) in {(400, 1001), (401, 2001), (404, 1002)}


def raw_get(api: Api, path: str) -> httpx.Response:
    """GET with ``path`` as it is written: httpx would tidy up what is in a URL."""
    return api.send("GET", "/", extensions={"target": path.encode()})


def test_no_error_tells_of_the_inside(buyer: Api, manager: Api) -> None:
    answers = [
        buyer.send("GET", "/concert-service/concerts/9223372036854775808"),
        buyer.send("GET", "/concert-service/concerts?sort=(select 1)"),
        manager.send("POST", CONCERTS, content=b"{", headers=JSON),
        buyer.send("GET", "/nowhere"),
    ]
    for answer in answers:
        assert answer.status_code < 500
        for word in ("Traceback", "sqlalchemy", "asyncpg", "pydantic", "SELECT ", 'File "', "/site-packages/"):
            assert word not in answer.text
        assert "server" not in answer.headers
