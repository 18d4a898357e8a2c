"""Schedules: the evenings of a concert."""

from __future__ import annotations

from typing import Any

import pytest

from common.identity import Role
from tests.contract.client import Api
from tests.contract.making import CONCERTS, SCHEDULES, Maker

WRONG = [
    ("stageId", "1"), ("stageId", None), ("stageId", 1.5), ("stageId", 2**63), ("concertDate", "2031-02-30"),
    ("concertDate", "5 March"), ("concertDate", 5), ("concertDate", None), ("concertDate", "2031-03-05T19:30:00"),
    ("concertTime", "25:00:00"), ("concertTime", "19:30:00+09:00"), ("concertTime", 1930), ("concertTime", None),
    ("concertTime", "7 pm"), ("concertTime", ""),
]  # fmt: skip


def body(concert: Any, venue: Any, **changes: Any) -> dict[str, Any]:
    return {
        "concertId": concert["id"], "stageId": venue["id"], "concertDate": "2031-03-05", "concertTime": "19:30:00",
        **changes,
    }  # fmt: skip


@pytest.fixture(scope="module")
def owner(make: Maker) -> Api:
    """The seller of ``concert``."""
    return make.person(Role.SELLER)


@pytest.fixture(scope="module")
def concert(make: Maker, owner: Api) -> Any:
    """With an evening, for what is refused, and so changes nothing."""
    return make.concert(owner)


@pytest.fixture(scope="module")
def venue(make: Maker) -> Any:
    """Of that evening."""
    return make.venue()


@pytest.fixture(scope="module")
def schedule(make: Maker, concert: Any, venue: Any) -> Any:
    """That evening."""
    return make.schedule(concert, venue)


def test_a_new_schedule_is_read_back(make: Maker, seller: Api, buyer: Api) -> None:
    concert, venue = make.concert(seller), make.venue()
    wanted = body(concert, venue)

    created = seller.post(SCHEDULES, wanted)

    assert created == {**wanted, "id": created["id"]}
    assert buyer.get(f"{SCHEDULES}/{created['id']}") == {
        "id": created["id"], "concertId": concert["id"], "stage": {"row": 10, "col": 20}, "seatList": [],
        "concertDate": "2031-03-05", "concertTime": "19:30:00",
    }  # fmt: skip
    (row,) = make.rows("concert", "SELECT * FROM schedules WHERE id = %s", created["id"])
    assert (row["created_by"], row["updated_by"], row["is_deleted"]) == (seller.user_id, seller.user_id, False)


@pytest.mark.parametrize(("field", "value"), [*WRONG, ("concertId", "1"), ("concertId", None), ("concertId", 2**63)])
def test_a_new_one_with_a_wrong_field_is_refused(
    field: str, value: Any, make: Maker, owner: Api, concert: Any, venue: Any
) -> None:
    wrong = body(concert, venue, **{field: value})
    before = make.count("schedules")
    problems = owner.refused(400, 1001, "POST", SCHEDULES, json=wrong)
    assert [problem["field"] for problem in problems] == [field]
    assert make.count("schedules") == before


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_change_to_a_wrong_value_is_refused(field: str, value: Any, owner: Api, schedule: Any, buyer: Api) -> None:
    path = f"{SCHEDULES}/{schedule['id']}"
    before = buyer.get(path)
    problems = owner.refused(400, 1001, "PATCH", path, json={field: value})
    assert [problem["field"] for problem in problems] == [field]
    assert buyer.get(path) == before


@pytest.mark.parametrize("field", ["concertId", "stageId", "concertDate", "concertTime"])
def test_a_missing_field_is_named(field: str, owner: Api, concert: Any, venue: Any) -> None:
    wanted = body(concert, venue)
    del wanted[field]
    problems = owner.refused(400, 1001, "POST", SCHEDULES, json=wanted)
    assert [problem["field"] for problem in problems] == [field]


def test_it_needs_a_concert_and_a_venue(make: Maker, seller: Api, manager: Api) -> None:
    concert, venue = make.concert(seller), make.venue()
    nothing = {"id": 999_999_999}
    before = make.count("schedules")
    seller.refused(404, 3001, "POST", SCHEDULES, json=body(concert, nothing))
    seller.refused(404, 3002, "POST", SCHEDULES, json=body(nothing, venue))
    seller.delete(f"{CONCERTS}/{concert['id']}")
    seller.refused(404, 3002, "POST", SCHEDULES, json=body(concert, venue))
    other = make.concert(seller)
    manager.delete(f"/concert-service/stages/{venue['id']}")
    seller.refused(404, 3001, "POST", SCHEDULES, json=body(other, venue))
    assert make.count("schedules") == before


@pytest.mark.parametrize(("day", "code"), [("2031-02-28", 3004), ("2031-04-01", 3005), ("1999-01-01", 3004)])
def test_it_must_lie_within_its_concert(
    day: str, code: int, make: Maker, owner: Api, concert: Any, venue: Any, schedule: Any, buyer: Api
) -> None:
    before = make.count("schedules")
    owner.refused(400, code, "POST", SCHEDULES, json=body(concert, venue, concertDate=day))
    assert make.count("schedules") == before

    owner.refused(400, code, "PATCH", f"{SCHEDULES}/{schedule['id']}", json={"concertDate": day})
    assert buyer.get(f"{SCHEDULES}/{schedule['id']}")["concertDate"] == "2031-03-05"


@pytest.mark.parametrize("day", ["2031-03-01", "2031-03-31"])
def test_the_first_and_the_last_day_are_days_of_the_concert(day: str, make: Maker, seller: Api) -> None:
    concert, venue = make.concert(seller), make.venue()
    assert seller.post(SCHEDULES, body(concert, venue, concertDate=day))["concertDate"] == day
    schedule = make.schedule(concert, venue)
    assert seller.patch(f"{SCHEDULES}/{schedule['id']}", {"concertDate": day})["concertDate"] == day


@pytest.mark.parametrize(("change", "code"), [({"startDate": "2031-03-06"}, 3004), ({"endDate": "2031-03-04"}, 3005)])
def test_a_concert_cannot_be_shortened_to_leave_its_schedules_outside(
    change: dict[str, str], code: int, make: Maker, seller: Api, buyer: Api
) -> None:
    concert = make.concert(seller)
    make.schedule(concert)
    path = f"{CONCERTS}/{concert['id']}"
    before = buyer.get(path)
    seller.refused(400, code, "PATCH", path, json=change)
    assert buyer.get(path) == before
    seller.patch(path, {"startDate": "2031-03-05", "endDate": "2031-03-05"})


@pytest.mark.parametrize("change", [{"concertDate": "2031-03-09"}, {"concertTime": "08:00:00"}, {}])
def test_a_patch_changes_what_it_names_and_nothing_else(
    change: dict[str, Any], make: Maker, seller: Api, buyer: Api
) -> None:
    schedule = make.schedule(make.concert(seller))
    path = f"{SCHEDULES}/{schedule['id']}"
    before = buyer.get(path)
    assert seller.patch(path, change) == {**schedule, **change}
    assert buyer.get(path) == {**before, **change}


def test_it_can_move_to_another_venue(make: Maker, seller: Api, buyer: Api) -> None:
    schedule, larger = make.schedule(make.concert(seller)), make.venue(row=30, col=40)
    path = f"{SCHEDULES}/{schedule['id']}"
    buyer.get(path)
    assert seller.patch(path, {"stageId": larger["id"]}) == {**schedule, "stageId": larger["id"]}
    assert buyer.get(path)["stage"] == {"row": 30, "col": 40}
    seller.refused(404, 3001, "PATCH", path, json={"stageId": 999_999_999})
    assert buyer.get(path)["stage"] == {"row": 30, "col": 40}


def test_a_change_of_its_venue_is_seen_by_the_next_lookup(make: Maker, manager: Api, buyer: Api) -> None:
    schedule = make.schedule()
    path = f"{SCHEDULES}/{schedule['id']}"
    assert buyer.get(path)["stage"] == {"row": 10, "col": 20}
    manager.patch(f"/concert-service/stages/{schedule['stageId']}", {"row": 11, "col": 21})
    assert buyer.get(path)["stage"] == {"row": 11, "col": 21}


def test_a_schedule_that_does_not_exist(buyer: Api, seller: Api, manager: Api) -> None:
    path = f"{SCHEDULES}/999999999"
    buyer.refused(404, 3000, "GET", path)
    for api in (seller, manager):
        api.refused(404, 3000, "PATCH", path, json={"concertTime": "08:00:00"})
        api.refused(404, 3000, "DELETE", path)
    buyer.refused(400, 1001, "GET", f"{SCHEDULES}/tonight")
