"""What concerts, schedules and venues must look like, and when a schedule is outside of its concert."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import ValidationError

from common.errors import ScheduleAfterConcert, ScheduleBeforeConcert
from concert.concerts import refuse_outside
from concert.models import Concert
from concert.schemas import ConcertPatch, ConcertRequest, ScheduleRequest, ScheduleView, VenuePatch, VenueRequest

CONCERT = {
    "concertName": "Spring", "runTime": 120, "startDate": "2027-03-01", "endDate": "2027-03-31",
    "price": 110000, "concertImage": "https://images.example/a.jpg",
}  # fmt: skip
SCHEDULE = {"concertId": 1, "stageId": 2, "concertDate": "2027-03-05", "concertTime": "19:30:00"}
VENUE = {"name": "Hall", "location": "Seoul", "row": 20, "col": 30}


@pytest.mark.parametrize(
    "change",
    [
        {"concertName": ""},
        {"concertName": " \t "},
        {"concertName": "x" * 201},
        {"concertName": "x\x00"},
        {"concertName": "x\ud83d"},
        {"concertName": 5},
        {"concertName": None},
        {"runTime": 0},
        {"runTime": True},
        {"runTime": "120"},
        {"runTime": 2**31},
        {"startDate": "2027-3-1"},
        {"startDate": "20270301"},
        {"startDate": "2027-02-30"},
        {"startDate": "2027-03-01T00:00:00"},
        {"startDate": 1798761600},
        {"price": 0},
        {"price": -1},
        {"price": 1.5},
        {"price": 2**70},
        {"concertImage": None},
        {"concertImage": "javascript:alert(1)"},
        {"concertImage": "javascript://images.example/%0aalert(1)"},
        {"concertImage": "data:image/png;base64,AAAA"},
        {"concertImage": "ftp://images.example/a.png"},
        {"concertImage": "//images.example/a.png"},
        {"concertImage": "a.png"},
        {"concertImage": "https:///a.png"},
        {"concertImage": "https://"},
        {"concertImage": "https://images.example/a b.png"},
        {"concertImage": "https://images.example/a\x00.png"},
        {"concertImage": "https://images.example/a.png\njavascript:alert(1)"},
        {"concertImage": "https://images.example/" + "a" * 2048},
    ],
)
def test_concerts_that_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        ConcertRequest.model_validate({**CONCERT, **change})
    assert {problem["loc"][0] for problem in refused.value.errors()} == set(change)


@pytest.mark.parametrize(
    "url",
    [
        "", "https://images.example", "HTTP://images.example:8080/poster?id=7&size=2#top", "https://images.example/\ubd04.webp",
        "https://[::1]/a",
    ],
)  # fmt: skip
def test_an_image_is_any_http_url_or_empty(url: str) -> None:
    assert ConcertRequest.model_validate({**CONCERT, "concertImage": f" {url} "}).image == url


def test_a_concert_ends_no_earlier_than_it_starts() -> None:
    ConcertRequest.model_validate({**CONCERT, "endDate": "2027-03-01"})
    with pytest.raises(ValidationError, match="endDate"):
        ConcertRequest.model_validate({**CONCERT, "endDate": "2027-02-28"})


@pytest.mark.parametrize("alias", ["runTime", "runtime"])
def test_the_run_time_has_two_spellings(alias: str) -> None:
    concert = {**{k: v for k, v in CONCERT.items() if k != "runTime"}, alias: 90}
    assert ConcertRequest.model_validate(concert).run_time == 90
    assert ConcertPatch.model_validate({alias: 95}).changes() == {"run_time": 95}


def test_names_keep_what_only_looks_dangerous() -> None:
    name = "'; DROP TABLE concerts; -- <script>🎵</script> %_\\"
    assert ConcertRequest.model_validate({**CONCERT, "concertName": f"  {name} "}).name == name


def test_a_patch_changes_what_it_names_and_nothing_else() -> None:
    assert ConcertPatch.model_validate({}).changes() == {}
    assert ConcertPatch.model_validate({"concertName": "New", "unknown": 1}).changes() == {"name": "New"}
    assert VenuePatch.model_validate({"row": 5}).changes() == {"row_count": 5}


@pytest.mark.parametrize("field", ["concertName", "runtime", "startDate", "endDate", "price", "concertImage"])
def test_a_patch_cannot_take_a_value_away(field: str) -> None:
    with pytest.raises(ValidationError):
        ConcertPatch.model_validate({field: None})


@pytest.mark.parametrize(
    ("sent", "answered"),
    [("19:30:00", "19:30:00"), ("19:30", "19:30:00"), ("00:00:00", "00:00:00"), ("23:59:59", "23:59:59")],
)
def test_times_are_answered_with_seconds_and_no_fraction(sent: str, answered: str) -> None:
    request = ScheduleRequest.model_validate({**SCHEDULE, "concertTime": sent})
    view = ScheduleView(
        id=1, concert_id=1, stage_id=2, concert_date=request.concert_date, concert_time=request.concert_time
    )
    assert view.model_dump(mode="json", by_alias=True)["concertTime"] == answered


@pytest.mark.parametrize(
    "time", ["24:00:00", "19:30:00.5", "19:30:00Z", "19:30:00+09:00", "193000", "7pm", 70200, None]
)
def test_times_that_are_refused(time: object) -> None:
    with pytest.raises(ValidationError):
        ScheduleRequest.model_validate({**SCHEDULE, "concertTime": time})


@pytest.mark.parametrize(
    "change", [{"row": 0}, {"col": -1}, {"row": 2**31}, {"col": "5"}, {"name": ""}, {"location": None}]
)
def test_venues_that_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        VenueRequest.model_validate({**VENUE, **change})


@pytest.mark.parametrize("change", [{"concertId": 2**63}, {"stageId": "1"}, {"concertId": None}])
def test_ids_that_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ScheduleRequest.model_validate({**SCHEDULE, **change})


def test_a_schedule_lies_inside_of_its_concert() -> None:
    concert = Concert(start_date=date(2027, 3, 1), end_date=date(2027, 3, 31))
    refuse_outside(concert, date(2027, 3, 1), date(2027, 3, 31))
    with pytest.raises(ScheduleBeforeConcert):
        refuse_outside(concert, date(2027, 2, 28))
    with pytest.raises(ScheduleAfterConcert):
        refuse_outside(concert, date(2027, 3, 31), date(2027, 4, 1))
