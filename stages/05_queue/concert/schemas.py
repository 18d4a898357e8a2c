"""What concert-service takes and gives on the wire."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from common.wire import ABSENT, Date, HttpUrl, Id, PatchModel, PositiveInt32, RequestModel, Text, Time, WireModel

ConcertName = Annotated[Text, Field(min_length=1, max_length=200)]
VenueText = Annotated[Text, Field(min_length=1, max_length=200)]

# The original's clients send both.
RUN_TIME = AliasChoices("runTime", "runtime")


class ConcertRequest(RequestModel):
    """A new concert."""

    name: ConcertName = Field(alias="concertName")
    run_time: PositiveInt32 = Field(validation_alias=RUN_TIME, description="minutes")
    start_date: Date
    end_date: Date
    price: PositiveInt32 = Field(description="won, for one seat")
    image: HttpUrl = Field(default="", alias="concertImage")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "concertName": "Spring Concert", "runTime": 120, "startDate": "2027-03-01", "endDate": "2027-03-31",
                "price": 110000, "concertImage": "https://images.example/spring.jpg",
            }
        }
    )  # fmt: skip

    @model_validator(mode="after")
    def _ends_after_start(self) -> Self:
        if self.end_date < self.start_date:
            raise ValueError("endDate must not be before startDate")
        return self


class ConcertPatch(PatchModel):
    """What is to change in a concert."""

    name: ConcertName = Field(default=ABSENT, alias="concertName")
    run_time: PositiveInt32 = Field(default=ABSENT, validation_alias=RUN_TIME)
    start_date: Date = Field(default=ABSENT)
    end_date: Date = Field(default=ABSENT)
    price: PositiveInt32 = Field(default=ABSENT)
    image: HttpUrl = Field(default=ABSENT, alias="concertImage")

    model_config = ConfigDict(json_schema_extra={"example": {"concertName": "Summer Concert", "price": 120000}})


class ConcertView(WireModel):
    """A concert, and whose it is."""

    id: int
    user_id: int
    concert_name: str
    runtime: int
    start_date: Date
    end_date: Date
    price: int
    concert_image: str

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 1, "userId": 2, "concertName": "Spring Concert", "runtime": 120, "startDate": "2027-03-01",
                "endDate": "2027-03-31", "price": 110000, "concertImage": "https://images.example/spring.jpg",
            }
        }
    )  # fmt: skip


class ConcertScheduleView(WireModel):
    """A schedule inside its concert."""

    id: int
    stage_id: int
    concert_date: Date
    concert_time: Time

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": 7, "stageId": 4, "concertDate": "2027-03-05", "concertTime": "19:30:00"}}
    )


class ConcertDetailView(WireModel):
    """A concert with its schedules."""

    id: int
    concert_name: str
    concert_image: str
    runtime: int
    price: int
    start_date: Date
    end_date: Date
    schedules: list[ConcertScheduleView]

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 1, "concertName": "Spring Concert", "concertImage": "https://images.example/spring.jpg",
                "runtime": 120, "price": 110000, "startDate": "2027-03-01", "endDate": "2027-03-31",
                "schedules": [{"id": 7, "stageId": 4, "concertDate": "2027-03-05", "concertTime": "19:30:00"}],
            }
        }
    )  # fmt: skip


class ScheduleRequest(RequestModel):
    """A new schedule of a concert."""

    concert_id: Id
    venue_id: Id = Field(alias="stageId")
    concert_date: Date
    concert_time: Time

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"concertId": 1, "stageId": 1, "concertDate": "2027-03-05", "concertTime": "19:30:00"}
        }
    )


class SchedulePatch(PatchModel):
    """What is to change in a schedule. It stays with its concert: bookings have been made for that one."""

    venue_id: Id = Field(default=ABSENT, alias="stageId")
    concert_date: Date = Field(default=ABSENT)
    concert_time: Time = Field(default=ABSENT)

    model_config = ConfigDict(json_schema_extra={"example": {"concertTime": "20:00:00"}})


class ScheduleView(WireModel):
    """One evening of a concert."""

    id: int
    concert_id: int
    stage_id: int
    concert_date: Date
    concert_time: Time

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 7, "concertId": 1, "stageId": 4, "concertDate": "2027-03-05", "concertTime": "19:30:00",
            }
        }
    )  # fmt: skip


class SeatGrid(WireModel):
    """The last row and the last column; both count from 1."""

    row: int
    col: int


class SeatLookupView(WireModel):
    """A schedule, and which of its seats can not be booked now."""

    id: int
    concert_id: int
    stage: SeatGrid
    seat_list: list[str]
    concert_date: Date
    concert_time: Time

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 7, "concertId": 1, "stage": {"row": 20, "col": 30}, "seatList": ["3 7", "3 8"],
                "concertDate": "2027-03-05", "concertTime": "19:30:00",
            }
        }
    )  # fmt: skip


class ScheduleDetailView(WireModel):
    """All that order-service needs to know for a booking."""

    id: int
    concert_id: int
    concert_name: str
    runtime: int
    price: int
    seller_id: int
    stage_name: str
    location: str
    row: int
    col: int
    concert_date: Date
    concert_time: Time

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 7, "concertId": 1, "concertName": "Spring Concert", "runtime": 120, "price": 110000,
                "sellerId": 2, "stageName": "Main Hall", "location": "Seoul", "row": 20, "col": 30,
                "concertDate": "2027-03-05", "concertTime": "19:30:00",
            }
        }
    )  # fmt: skip


class VenueRequest(RequestModel):
    """A new venue."""

    name: VenueText
    location: VenueText
    row_count: PositiveInt32 = Field(alias="row")
    column_count: PositiveInt32 = Field(alias="col")

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "Main Hall", "location": "Seoul", "row": 20, "col": 30}}
    )


class VenuePatch(PatchModel):
    """What is to change in a venue."""

    name: VenueText = Field(default=ABSENT)
    location: VenueText = Field(default=ABSENT)
    row_count: PositiveInt32 = Field(default=ABSENT, alias="row")
    column_count: PositiveInt32 = Field(default=ABSENT, alias="col")

    model_config = ConfigDict(json_schema_extra={"example": {"row": 25}})


class VenueView(WireModel):
    """A venue; its rows and columns count from 1."""

    id: int
    name: str
    location: str
    row: int
    col: int

    model_config = ConfigDict(
        json_schema_extra={"example": {"id": 4, "name": "Main Hall", "location": "Seoul", "row": 20, "col": 30}}
    )
