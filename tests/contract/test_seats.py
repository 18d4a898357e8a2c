"""Which seats are taken, and what must not happen to a venue, a schedule or a concert while some are."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.contract.client import Api
from tests.contract.making import CONCERTS, SCHEDULES, SEATS, VENUES, Maker

ACTIVE = ["PENDING", "CONFIRMED", "CANCEL_REQUESTED"]
STALE_SECONDS = 1.0


def seat_list(api: Api, schedule: Any, expected: list[str]) -> list[str]:
    """The seats of a lookup; it may be a second behind, so it is asked until it shows what is expected."""
    deadline = time.monotonic() + STALE_SECONDS + 0.5
    seats: list[str] = api.get(f"{SCHEDULES}/{schedule['id']}")["seatList"]
    while seats != expected and time.monotonic() < deadline:
        time.sleep(0.02)
        seats = api.get(f"{SCHEDULES}/{schedule['id']}")["seatList"]
    return seats


def test_a_seat_is_taken_by_an_active_booking_only(make: Maker, buyer: Api) -> None:
    schedule, other = make.schedule(), make.schedule()
    assert seat_list(buyer, schedule, []) == []
    for seat, status in (("1 1", "PENDING"), ("2 20", "CONFIRMED"), ("10 2", "CANCEL_REQUESTED"), ("3 3", "CANCELED")):
        make.booking(schedule, seat, status)
    make.booking(other, "5 5")

    taken = ["1 1", "2 20", "10 2"]
    assert seat_list(buyer, schedule, taken) == taken
    assert buyer.get(f"{SEATS}/{schedule['id']}") == taken
    assert seat_list(buyer, other, ["5 5"]) == ["5 5"]


def test_a_seat_that_is_given_up_is_free_again(make: Maker, buyer: Api) -> None:
    schedule = make.schedule()
    make.booking(schedule, "1 1")
    assert seat_list(buyer, schedule, ["1 1"]) == ["1 1"]
    make.rows("order", "UPDATE bookings SET status = 'CANCELED' WHERE schedule_id = %s RETURNING id", schedule["id"])
    assert seat_list(buyer, schedule, []) == []


def test_a_seat_that_was_canceled_and_booked_again_is_named_once(make: Maker, buyer: Api) -> None:
    schedule = make.schedule()
    for status in ("CANCELED", "CANCELED", "CONFIRMED"):
        make.booking(schedule, "4 7", status)
    assert seat_list(buyer, schedule, ["4 7"]) == ["4 7"]


def test_order_service_is_asked_about_schedules_by_number(buyer: Api) -> None:
    assert buyer.get(f"{SEATS}/999999999") == []
    buyer.refused(400, 1001, "GET", f"{SEATS}/tonight")
    buyer.refused(400, 1001, "GET", f"{SEATS}/9223372036854775808")


@pytest.mark.parametrize("status", ACTIVE)
def test_nothing_that_is_booked_can_be_deleted(status: str, make: Maker, manager: Api, buyer: Api) -> None:
    schedule = make.schedule()
    make.booking(schedule, "1 1", status)
    for path in (
        f"{SCHEDULES}/{schedule['id']}",
        f"{CONCERTS}/{schedule['concertId']}",
        f"{VENUES}/{schedule['stageId']}",
    ):
        before = buyer.get(path)
        manager.refused(409, 5002, "DELETE", path)
        assert {**buyer.get(path), "seatList": 0} == {**before, "seatList": 0}


def test_a_seller_cannot_strand_bookings_either(make: Maker, seller: Api) -> None:
    schedule = make.schedule(make.concert(seller))
    make.booking(schedule, "1 1")
    seller.refused(409, 5002, "DELETE", f"{SCHEDULES}/{schedule['id']}")
    seller.refused(409, 5002, "DELETE", f"{CONCERTS}/{schedule['concertId']}")


@pytest.mark.parametrize("what", ["schedules", "concerts", "stages"])
def test_what_has_only_canceled_bookings_can_be_deleted(what: str, make: Maker, manager: Api) -> None:
    schedule = make.schedule()
    make.booking(schedule, "1 1", "CANCELED")
    ids = {"schedules": schedule["id"], "concerts": schedule["concertId"], "stages": schedule["stageId"]}
    assert manager.delete(f"/concert-service/{what}/{ids[what]}") == {}


@pytest.mark.parametrize("status", ACTIVE)
@pytest.mark.parametrize("change", [{"row": 6}, {"col": 8}, {"row": 100, "col": 8}, {"row": 1, "col": 1}])
def test_a_venue_cannot_lose_a_booked_seat(
    status: str, change: dict[str, int], make: Maker, manager: Api, buyer: Api
) -> None:
    schedule = make.schedule()
    make.booking(schedule, "7 1", status)
    make.booking(schedule, "1 9", status)
    path = f"{VENUES}/{schedule['stageId']}"
    before = buyer.get(path)
    manager.refused(409, 5002, "PATCH", path, json={**change, "name": "Smaller"})
    assert buyer.get(path) == before


@pytest.mark.parametrize("change", [{"row": 7, "col": 9}, {"row": 7}, {"col": 9}, {"row": 99}, {"name": "Other"}])
def test_a_venue_may_shrink_around_the_booked_seats(change: dict[str, Any], make: Maker, manager: Api) -> None:
    schedule = make.schedule()
    make.booking(schedule, "7 9")
    make.booking(schedule, "8 10", "CANCELED")
    changed = manager.patch(f"{VENUES}/{schedule['stageId']}", change)
    assert {name: changed[name] for name in change} == change


def test_a_booked_schedule_cannot_move_where_its_seats_do_not_exist(make: Maker, seller: Api, buyer: Api) -> None:
    schedule = make.schedule(make.concert(seller))
    make.booking(schedule, "7 9")
    path = f"{SCHEDULES}/{schedule['id']}"
    for size in ({"row": 6, "col": 20}, {"row": 10, "col": 8}):
        seller.refused(409, 5002, "PATCH", path, json={"stageId": make.venue(**size)["id"]})
    assert buyer.get(path)["stage"] == {"row": 10, "col": 20}
    assert seller.patch(path, {"stageId": make.venue(row=7, col=9)["id"]})["id"] == schedule["id"]
    assert buyer.get(path)["stage"] == {"row": 7, "col": 9}


@pytest.mark.parametrize("change", [{"startDate": "2031-03-06"}, {"endDate": "2031-03-04"}])
def test_a_concert_cannot_shrink_away_from_a_booked_evening(
    change: dict[str, str], make: Maker, seller: Api, buyer: Api
) -> None:
    concert = make.concert(seller)
    make.booking(make.schedule(concert), "1 1")
    before = buyer.get(f"{CONCERTS}/{concert['id']}")
    seller.refused(409, 5002, "PATCH", f"{CONCERTS}/{concert['id']}", json=change)
    assert buyer.get(f"{CONCERTS}/{concert['id']}") == before


def test_a_booked_concert_may_still_be_renamed(make: Maker, seller: Api) -> None:
    concert = make.concert(seller)
    make.booking(make.schedule(concert), "1 1")
    changed = seller.patch(f"{CONCERTS}/{concert['id']}", {"concertName": "Renamed", "endDate": "2031-03-05"})
    assert (changed["concertName"], changed["endDate"]) == ("Renamed", "2031-03-05")
