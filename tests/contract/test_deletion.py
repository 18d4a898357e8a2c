"""Deleting is soft: the row stays, with who did it and when, and every read hides it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.identity import Role
from tests.contract.client import Api, outcome, refused
from tests.contract.direct import Services
from tests.contract.making import CONCERTS, SCHEDULES, VENUES, Maker


def require_marked(make: Maker, table: str, row_id: int, who: Api) -> None:
    """The row is still there, marked as deleted by ``who`` just now."""
    (row,) = make.rows("concert", f"SELECT * FROM {table} WHERE id = %s", row_id)
    assert (row["is_deleted"], row["deleted_by"]) == (True, who.user_id)
    assert abs(row["deleted_at"] - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_deleted_concert_is_hidden_everywhere(make: Maker, seller: Api, buyer: Api, services: Services) -> None:
    concert = make.concert(seller)
    schedule = make.schedule(concert)
    path = f"{CONCERTS}/{concert['id']}"
    buyer.get(path)
    buyer.get(f"{SCHEDULES}/{schedule['id']}")

    assert seller.delete(path) == {}

    require_marked(make, "concerts", concert["id"], seller)
    require_marked(make, "schedules", schedule["id"], seller)
    buyer.refused(404, 3002, "GET", path)
    seller.refused(404, 3002, "PATCH", path, json={"price": 1})
    seller.refused(404, 3002, "DELETE", path)
    buyer.refused(404, 3000, "GET", f"{SCHEDULES}/{schedule['id']}")
    assert concert not in buyer.get(CONCERTS, params={"sort": "id,desc", "size": 5})["content"]
    name = {"concert-name": concert["concertName"]}
    assert concert not in buyer.get(f"{CONCERTS}/search", params=name)

    word = concert["concertName"].replace(" ", "%20")
    refused(services.ask("concert", "GET", f"/concerts/{concert['id']}/detail"), 404, 3002)
    refused(services.ask("concert", "GET", f"/schedules/{schedule['id']}/detail"), 404, 3000)
    for target in (
        f"/concerts/{seller.user_id}/seller",
        f"/concerts/{seller.user_id}/{word}/search",
        f"/concerts/{word}/search",
    ):
        assert concert not in services.ask("concert", "GET", target).json()
    assert services.ask("concert", "POST", "/concerts/list", json=[concert["id"]]).json() == []


def test_a_deleted_schedule_is_hidden_everywhere(make: Maker, seller: Api, buyer: Api, services: Services) -> None:
    concert = make.concert(seller)
    schedule, other = make.schedule(concert), make.schedule(concert)
    path = f"{SCHEDULES}/{schedule['id']}"
    assert len(buyer.get(f"{CONCERTS}/{concert['id']}")["schedules"]) == 2
    buyer.get(path)

    assert seller.delete(path) == {}

    require_marked(make, "schedules", schedule["id"], seller)
    buyer.refused(404, 3000, "GET", path)
    seller.refused(404, 3000, "PATCH", path, json={"concertTime": "08:00:00"})
    seller.refused(404, 3000, "DELETE", path)
    refused(services.ask("concert", "GET", f"/schedules/{schedule['id']}/detail"), 404, 3000)
    left = buyer.get(f"{CONCERTS}/{concert['id']}")["schedules"]
    assert [one["id"] for one in left] == [other["id"]]


def test_a_deleted_schedule_no_longer_binds_its_concert(make: Maker, seller: Api) -> None:
    concert = make.concert(seller)
    schedule = make.schedule(concert)
    seller.delete(f"{SCHEDULES}/{schedule['id']}")
    assert seller.patch(f"{CONCERTS}/{concert['id']}", {"startDate": "2031-03-20"})["startDate"] == "2031-03-20"


def test_a_deleted_venue_is_hidden_everywhere(make: Maker, manager: Api, buyer: Api) -> None:
    venue = make.venue()
    path = f"{VENUES}/{venue['id']}"
    assert venue in buyer.get(VENUES)

    assert manager.delete(path) == {}

    require_marked(make, "venues", venue["id"], manager)
    buyer.refused(404, 3001, "GET", path)
    manager.refused(404, 3001, "PATCH", path, json={"row": 1})
    manager.refused(404, 3001, "DELETE", path)
    assert venue not in buyer.get(VENUES)


def test_a_schedule_never_outlives_its_venue(make: Maker, manager: Api, buyer: Api) -> None:
    """Whether it goes with it or keeps it from going, nobody may look up seats in a hall that is gone."""
    schedule = make.schedule()
    buyer.get(f"{SCHEDULES}/{schedule['id']}")
    manager.delete(f"{VENUES}/{schedule['stageId']}")
    buyer.refused(404, 3000, "GET", f"{SCHEDULES}/{schedule['id']}")


@pytest.mark.parametrize("what", ["concerts", "schedules", "stages"])
def test_of_simultaneous_deletions_exactly_one_wins(what: str, make: Maker, manager: Api) -> None:
    schedule = make.schedule()
    path, code = {
        "concerts": (f"{CONCERTS}/{schedule['concertId']}", 3002),
        "schedules": (f"{SCHEDULES}/{schedule['id']}", 3000),
        "stages": (f"{VENUES}/{schedule['stageId']}", 3001),
    }[what]

    with ThreadPoolExecutor(6) as threads:
        answers = sorted(threads.map(lambda _: outcome(manager.send("DELETE", path)), range(6)))

    assert answers == [(200, 0)] + [(404, code)] * 5


def test_nothing_is_added_to_a_concert_that_is_being_deleted(make: Maker) -> None:
    """A new schedule and the deletion of its concert at once: no schedule may be left without its concert."""
    manager = make.person(Role.MANAGER)
    venue = make.venue()

    def race(_: int) -> None:
        concert = make.concert()
        body = {
            "concertId": concert["id"], "stageId": venue["id"], "concertDate": "2031-03-05", "concertTime": "19:30:00",
        }  # fmt: skip
        requests: list[tuple[str, str, Any]] = [
            ("POST", SCHEDULES, body), ("DELETE", f"{CONCERTS}/{concert['id']}", None), ("POST", SCHEDULES, body),
        ]  # fmt: skip
        with ThreadPoolExecutor(3) as threads:
            answers = list(threads.map(lambda one: outcome(manager.send(one[0], one[1], json=one[2])), requests))
        assert answers[1] == (200, 0)
        assert set(answers) <= {(200, 0), (404, 3002)}
        orphans = "SELECT 1 FROM schedules WHERE concert_id = %s AND NOT is_deleted"
        assert make.rows("concert", orphans, concert["id"]) == []

    for attempt in range(8):
        race(attempt)
