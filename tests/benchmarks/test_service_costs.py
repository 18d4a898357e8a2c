"""What a service does to every request: who is asking, what seats they name, and the page that is answered."""

from __future__ import annotations

import json

from pydantic_core import to_json
from pytest_benchmark.fixture import BenchmarkFixture

from common.errors import SeatAlreadyBooked
from common.identity import IdentitySigner, Role, Service, User
from common.paging import Page, PageRequest
from common.statements import as_views
from common.wire import failure_bytes, ok
from order.schemas import BookingRequest, BookingRow
from order.seats import Seat, parse_seats

SIGNER = IdentitySigner("k" * 43)
USER = User(4711, "somebody@example.com", Role.USER)
TARGET = b"/bookings/me/4711?page=0&size=20&sort=id,desc"

FIELDS = list(BookingRow.model_fields)
ROWS = [(number, 3, 17, None, 4711, 110_000, "CONFIRMED", f"{number} 7") for number in range(1, 21)]
REQUEST = PageRequest(page=1, size=20)
BODY = to_json({"scheduleId": 17, "userId": 4711, "price": 110_000, "seat": ["3 7", "3 8"]})


def page() -> Page[BookingRow]:
    return Page[BookingRow].of(as_views(BookingRow, FIELDS, ROWS), REQUEST, 57)


def test_vouching_for_a_person(benchmark: BenchmarkFixture) -> None:
    headers = benchmark(SIGNER.headers_for, USER, "GET", TARGET)
    assert SIGNER.verify(dict(headers), "GET", TARGET) == USER


def test_believing_who_a_person_is(benchmark: BenchmarkFixture) -> None:
    # Timed for as long as it takes, a signature would outlive its minute; a fresh one costs what "vouching" says.
    headers = dict(SIGNER.headers_for(USER, "GET", TARGET))
    assert benchmark(SIGNER.verify, headers, "GET", TARGET) == USER


def test_believing_which_service_it_is(benchmark: BenchmarkFixture) -> None:
    service = Service("concert-service")
    headers = dict(SIGNER.headers_for(service, "POST", b"/bookings/active"))
    assert benchmark(SIGNER.verify, headers, "POST", b"/bookings/active") == service


def test_reading_a_booking_request(benchmark: BenchmarkFixture) -> None:
    request = benchmark(BookingRequest.model_validate_json, BODY)
    assert request.seat == ["3 7", "3 8"]
    assert (request.schedule_id, request.user_id, request.price) == (17, 4711, 110_000)


def test_reading_ten_seats(benchmark: BenchmarkFixture) -> None:
    texts = [f"{row} 7" for row in range(1, 11)]
    assert benchmark(parse_seats, texts) == [Seat(row, 7) for row in range(1, 11)]


def test_building_a_page(benchmark: BenchmarkFixture) -> None:
    built = benchmark(page)
    assert [booking.id for booking in built.content] == list(range(1, 21))
    assert (built.total_pages, built.number, built.first, built.last) == (3, 1, False, False)


def test_encoding_a_page(benchmark: BenchmarkFixture) -> None:
    answer = benchmark(ok, page())
    data = json.loads(bytes(answer.body))["data"]
    assert (data["totalElements"], data["numberOfElements"], len(data["content"])) == (57, 20, 20)
    assert data["content"][0] == {
        "id": 1, "concertId": 3, "scheduleId": 17, "paymentId": None, "userId": 4711, "price": 110_000,
        "status": "CONFIRMED", "seat": "1 7",
    }  # fmt: skip


def test_encoding_the_seats_that_are_taken(benchmark: BenchmarkFixture) -> None:
    """A tenth of a venue of 50 by 40."""
    seats = [f"{row} {column}" for row in range(1, 51) for column in range(1, 5)]
    assert json.loads(bytes(benchmark(ok, seats).body))["data"] == seats


def test_encoding_a_refusal(benchmark: BenchmarkFixture) -> None:
    assert json.loads(benchmark(failure_bytes, SeatAlreadyBooked()))["code"] == 4000
