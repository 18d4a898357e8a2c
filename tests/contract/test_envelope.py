"""The conventions that hold for every answer: envelope, language, request id."""

from __future__ import annotations

import re
from typing import Any

import pytest

from common.identity import Role
from tests.contract.client import KOREAN_SUCCESS, Api, envelope, outcome
from tests.contract.making import CONCERTS, LOGIN, SCHEDULES, SIGN_UP, USERS, VENUES, Maker, sign_up_body

HANGUL = re.compile("[가-힣]")

ENGLISH = ["en", "en-US", "EN", "en-GB,en;q=0.9", "en;q=0.9, ko;q=0.8", "fr, en;q=0.3", "ko;q=0.1, en;q=0.2"]
KOREAN = ["", "ko", "ko-KR,ko;q=0.9,en;q=0.8", "fr", "en;q=0.5, ko", "en;q=0", "*", "en;q=x", ",;=", "ko, en"]

# An error of the gateway's own, one of a service's, and one of a service's framework.
ERRORS: list[tuple[str, str, dict[str, Any], tuple[int, int]]] = [
    ("GET", "/nowhere", {}, (404, 1002)),
    ("GET", f"{CONCERTS}/999999999", {}, (404, 3002)),
    ("GET", f"{CONCERTS}?page=x", {}, (400, 1001)),
    ("DELETE", CONCERTS, {}, (405, 1002)),
]


def test_an_answer_has_exactly_code_message_and_data(buyer: Api) -> None:
    assert envelope(buyer.send("GET", VENUES, params={"ignored": "yes"})).keys() == {"code", "message", "data"}
    content = envelope(buyer.send("GET", CONCERTS))
    assert (content["code"], content["message"]) == (0, KOREAN_SUCCESS)


def test_nothing_to_say_is_an_empty_object(make: Maker, nobody: Api) -> None:
    body = sign_up_body()
    schedule = make.schedule()
    manager = make.person(Role.MANAGER)
    for answer in (
        nobody.send("POST", SIGN_UP, json=body),
        nobody.send("POST", LOGIN, json={"email": body["email"], "password": body["password"]}),
        make.account().api.send("PUT", USERS, json=sign_up_body()),
        manager.send("DELETE", f"{SCHEDULES}/{schedule['id']}"),
        manager.send("DELETE", f"{CONCERTS}/{schedule['concertId']}"),
        manager.send("DELETE", f"{VENUES}/{schedule['stageId']}"),
    ):
        assert answer.status_code == 200, answer.text
        assert envelope(answer) == {"code": 0, "message": KOREAN_SUCCESS, "data": {}}


@pytest.mark.parametrize("language", ENGLISH)
def test_messages_are_english_for_who_prefers_it(language: str, buyer: Api) -> None:
    headers = {"Accept-Language": language}
    assert envelope(buyer.send("GET", CONCERTS, headers=headers))["message"].isascii()
    for method, path, request, expected in ERRORS:
        answer = buyer.send(method, path, headers=headers, **request)
        assert outcome(answer) == expected
        assert envelope(answer)["message"].isascii()


@pytest.mark.parametrize("language", KOREAN)
def test_messages_are_korean_for_everybody_else(language: str, buyer: Api) -> None:
    headers = {"Accept-Language": language}
    assert envelope(buyer.send("GET", CONCERTS, headers=headers))["message"] == KOREAN_SUCCESS
    for method, path, request, expected in ERRORS:
        answer = buyer.send(method, path, headers=headers, **request)
        assert outcome(answer) == expected
        assert HANGUL.search(envelope(answer)["message"])


def test_who_says_nothing_about_languages_reads_korean(buyer: Api) -> None:
    english = buyer.send("GET", CONCERTS, headers={"Accept-Language": "en"})
    korean = buyer.send("GET", CONCERTS)
    assert envelope(english)["message"] != KOREAN_SUCCESS
    assert envelope(korean)["message"] == KOREAN_SUCCESS


def test_fields_are_camel_case_and_values_have_the_contracts_formats(make: Maker, buyer: Api) -> None:
    schedule = make.schedule(concertTime="09:05:00")
    answers = [
        buyer.get(CONCERTS, params={"sort": "id,desc", "size": 5}),
        buyer.get(f"{CONCERTS}/{schedule['concertId']}"),
        buyer.get(f"{SCHEDULES}/{schedule['id']}"),
        buyer.get(f"{VENUES}/{schedule['stageId']}"),
        make.account().api.get(USERS),
    ]
    fields = [field for answer in answers for field in _fields(answer)]
    assert len(fields) > 30
    for name, value in fields:
        assert re.fullmatch("[a-z][a-zA-Z]*", name), name
        if name.endswith("Date"):
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", value), (name, value)
        if name.endswith("Time"):
            assert re.fullmatch(r"\d\d:\d\d:\d\d", value), (name, value)
        if name in ("price", "runtime", "id", "userId", "concertId", "stageId", "row", "col"):
            assert type(value) is int, (name, value)


def _fields(data: Any) -> list[tuple[str, Any]]:
    if isinstance(data, list):
        return [field for element in data for field in _fields(element)]
    if isinstance(data, dict):
        return [field for name, value in data.items() for field in ((name, value), *_fields(value))]
    return []


@pytest.mark.parametrize("path", [CONCERTS, "/nowhere", f"{CONCERTS}/999999999"])
def test_a_request_id_is_echoed(path: str, buyer: Api) -> None:
    answer = buyer.send("GET", path, headers={"X-Request-Id": "the.request-1_A"})
    assert answer.headers.get_list("x-request-id") == ["the.request-1_A"]


@pytest.mark.parametrize(
    "offered", [{}, {"X-Request-Id": ""}, {"X-Request-Id": "x" * 1000}, {"X-Request-Id": "a b<c>"}]
)
def test_a_request_without_a_harmless_id_gets_one(offered: dict[str, str], buyer: Api) -> None:
    made = [buyer.send("GET", CONCERTS, headers=offered).headers.get_list("x-request-id") for _ in range(2)]
    assert [len(ids) for ids in made] == [1, 1]
    assert made[0] != made[1]
    assert all(re.fullmatch("[A-Za-z0-9._-]{8,64}", ids[0]) for ids in made)


def test_a_refusal_without_a_token_has_an_id_too(nobody: Api) -> None:
    answer = nobody.send("GET", CONCERTS, headers={"X-Request-Id": "abc"})
    assert answer.headers["x-request-id"] == "abc"
