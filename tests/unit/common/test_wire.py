"""The envelope's bytes, and what request fields accept."""

from __future__ import annotations

import json
from contextvars import copy_context
from datetime import date, time
from typing import Annotated, Any

import pytest
from fastapi import Response
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

from common.errors import InvalidInput, LoginRequired, ServiceUnavailable, WrongCredentials
from common.language import use_language
from common.wire import (
    INT32_MAX,
    INT64_MAX,
    Date,
    Id,
    PositiveInt32,
    RequestModel,
    Text,
    Time,
    WireModel,
    bare,
    failure,
    failure_bytes,
    ok,
    ok_bytes,
)  # fmt: skip


class ShowView(WireModel):
    show_id: int
    concert_name: str
    concert_date: Date
    concert_time: Time
    next_show: ShowView | None = None


class ShowRequest(RequestModel):
    concert_name: Annotated[Text, Field(min_length=1, max_length=20)]
    price: PositiveInt32
    venue_id: Id
    concert_date: Date
    concert_time: Time
    sold_out: bool = False


GOOD: dict[str, Any] = {
    "concertName": "Spring", "price": 1, "venueId": 7, "concertDate": "2027-03-01", "concertTime": "19:30:00",
}  # fmt: skip

VIEW = ShowView(
    show_id=1, concert_name='<b>"봄"</b> 🎻', concert_date=date(2027, 3, 1), concert_time=time(19, 30), next_show=None
)


def parsed(response: Response) -> Any:
    return json.loads(bytes(response.body))


def in_english(make: Any) -> Any:
    def run() -> Any:
        use_language("en")
        return make()

    return copy_context().run(run)


def test_nothing_to_say_is_an_empty_object() -> None:
    assert bytes(ok().body).decode() == '{"code":0,"message":"정상 처리 되었습니다.","data":{}}'


def test_success_speaks_english_when_asked_to() -> None:
    envelope = parsed(in_english(ok))
    assert (envelope["code"], envelope["data"]) == (0, {})
    assert envelope["message"].isascii()


def test_views_are_camel_case_with_iso_dates_and_times() -> None:
    expected = {
        "showId": 1, "concertName": '<b>"봄"</b> 🎻', "concertDate": "2027-03-01", "concertTime": "19:30:00",
        "nextShow": None,
    }  # fmt: skip
    assert parsed(ok(VIEW))["data"] == expected
    assert parsed(ok([VIEW, VIEW]))["data"] == [expected, expected]
    assert parsed(bare(VIEW)) == expected


def test_an_empty_list_stays_a_list() -> None:
    assert parsed(ok([]))["data"] == []


def test_bytes_that_are_json_already_are_not_touched() -> None:
    assert bytes(ok_bytes(b"[ 1,2 ]").body).endswith(b'"data":[ 1,2 ]}')


@pytest.mark.parametrize("response", [ok(), bare([]), failure(LoginRequired())])
def test_every_answer_says_that_it_is_json_and_how_long(response: Response) -> None:
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == str(len(bytes(response.body)))


def test_an_error_has_its_status_and_tells_no_details() -> None:
    response = failure(WrongCredentials("no such email: fan@example.com"))
    assert response.status_code == 401
    assert parsed(response) == {"code": 2004, "message": "이메일 또는 비밀번호가 올바르지 않습니다.", "data": {}}
    assert "retry-after" not in response.headers


def test_an_error_speaks_english_when_asked_to() -> None:
    assert json.loads(in_english(lambda: failure_bytes(LoginRequired())))["message"] == "Login required."


def test_invalid_input_names_the_fields() -> None:
    assert parsed(failure(InvalidInput.of("page", "must not be negative")))["data"] == [
        {"field": "page", "message": "must not be negative"}
    ]


def test_an_unavailable_service_says_when_to_try_again() -> None:
    response = failure(ServiceUnavailable("gone", retry_after_seconds=3))
    assert (response.status_code, response.headers["retry-after"]) == (503, "3")


def test_a_request_is_read_by_its_names_on_the_wire() -> None:
    request = ShowRequest.model_validate({**GOOD, "unknown": [1]})
    assert (request.concert_name, request.price, request.venue_id) == ("Spring", 1, 7)
    assert (request.concert_date, request.concert_time) == (date(2027, 3, 1), time(19, 30))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("concertName", 7), ("concertName", None), ("concertName", ""), ("concertName", "   "), ("concertName", ["a"]),
        ("concertName", "a" * 21), ("concertName", "a\x00b"), ("concertName", "\ud800"), ("concertName", True),
        ("price", "1"), ("price", True), ("price", 1.0), ("price", 0), ("price", -1), ("price", INT32_MAX + 1),
        ("price", float("nan")), ("price", float("inf")), ("price", None), ("price", 10**400),
        ("venueId", "7"), ("venueId", INT64_MAX + 1), ("venueId", -INT64_MAX - 2), ("venueId", 7.5),
        ("concertDate", 1), ("concertDate", "2027-02-29"), ("concertDate", "2027-3-1"), ("concertDate", "20270301"),
        ("concertDate", "2027-03-01T00:00:00"), ("concertDate", "2027-W09-1"), ("concertDate", ""),
        ("concertDate", "２０２７-03-01"), ("concertDate", " 2027-03-01"), ("concertDate", "2027-03-01\n"),
        ("concertTime", 1), ("concertTime", "24:00:00"), ("concertTime", "19:30:00.5"), ("concertTime", "19:30:00Z"),
        ("concertTime", "193000"), ("concertTime", "7:30 PM"), ("concertTime", "19:60:00"), ("concertTime", ""),
        ("soldOut", "true"), ("soldOut", 1), ("soldOut", None),
    ],
)  # fmt: skip
def test_a_value_of_a_wrong_type_or_out_of_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as refusal:
        ShowRequest.model_validate({**GOOD, field: value})
    assert [problem["loc"] for problem in refusal.value.errors()] == [(field,)]


@pytest.mark.parametrize("value", [INT64_MAX, -INT64_MAX - 1, 0])
def test_an_id_may_be_any_number_that_a_bigint_holds(value: int) -> None:
    assert ShowRequest.model_validate({**GOOD, "venueId": value}).venue_id == value


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_every_text_that_the_database_can_hold_is_taken_and_given_back(text: str) -> None:
    taken = TypeAdapter(Text).validate_python(text)
    assert taken in text
    assert taken.strip() == text.strip()
    assert parsed(ok({"name": taken}))["data"]["name"] == taken


@given(st.dates())
def test_every_date_survives_the_wire(day: date) -> None:
    assert TypeAdapter(Date).validate_python(json.loads(TypeAdapter(Date).dump_json(day))) == day


@given(st.times().map(lambda moment: moment.replace(microsecond=0)))
def test_every_time_survives_the_wire(moment: time) -> None:
    text = json.loads(TypeAdapter(Time).dump_json(moment))
    assert len(text) == len("HH:MM:SS")
    assert TypeAdapter(Time).validate_python(text) == moment
