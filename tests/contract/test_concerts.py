"""Concerts: made, read, changed in part, searched."""

from __future__ import annotations

from typing import Any

import pytest

from common.identity import Role
from tests.contract.client import Api
from tests.contract.making import CONCERTS, Maker, concert_body, number

WRONG = [
    ("concertName", ""), ("concertName", "   "), ("concertName", "a" * 201), ("concertName", 7), ("concertName", None),
    ("concertName", "a\x00b"), ("runTime", 0), ("runTime", -1), ("runTime", "120"), ("runTime", 1.5), ("runTime", None),
    ("runTime", 2**31), ("runTime", 10**30), ("price", 0), ("price", -1), ("price", "110000"), ("price", 1.5),
    ("price", True), ("price", None), ("price", 2**31), ("price", 2**63), ("startDate", "2031-02-30"),
    ("startDate", "2031-3-1"), ("startDate", "01.03.2031"), ("startDate", 20310301), ("startDate", None),
    ("startDate", "2031-03-01T00:00:00"), ("endDate", "tomorrow"), ("endDate", ""), ("endDate", ["2031-03-31"]),
    ("concertImage", 7), ("concertImage", "javascript:alert(1)"), ("concertImage", "poster.png"),
]  # fmt: skip

NAMES = [
    "'; DROP TABLE concerts; --", "<script>alert('x')</script>", "Robert\\'); \"quoted\" `ticks`", "100% _under_",
    "봄 콘서트", "🎻🇰🇷👨\u200d👩\u200d👧", "عرض موسيقي", "{{7*7}} ${7*7} %s %(x)s {0}", "null", "a" * 200, "🎻" * 200,
    "tab\tand\nnewline", "e\u0301 is not \u00e9",
]  # fmt: skip


@pytest.fixture(scope="module")
def owner(make: Maker) -> Api:
    """The seller of ``concert``."""
    return make.person(Role.SELLER)


@pytest.fixture(scope="module")
def concert(make: Maker, owner: Api) -> Any:
    """For what is refused, and so changes nothing."""
    return make.concert(owner)


def test_a_new_concert_is_the_sellers_and_read_back(make: Maker, seller: Api, buyer: Api) -> None:
    body = concert_body()

    created = seller.post(CONCERTS, body)

    expected = {**body, "runtime": body["runTime"], "id": created["id"], "userId": seller.user_id}
    del expected["runTime"]
    assert created == expected
    del expected["userId"]
    assert buyer.get(f"{CONCERTS}/{created['id']}") == {**expected, "schedules": []}
    (row,) = make.rows("concert", "SELECT * FROM concerts WHERE id = %s", created["id"])
    assert (row["created_by"], row["updated_by"], row["is_deleted"]) == (seller.user_id, seller.user_id, False)


@pytest.mark.parametrize("name", ["runTime", "runtime"])
def test_both_names_of_the_run_time_are_understood(name: str, seller: Api, buyer: Api) -> None:
    body = concert_body()
    del body["runTime"]
    created = seller.post(CONCERTS, {**body, name: 95})
    assert created["runtime"] == 95
    assert seller.patch(f"{CONCERTS}/{created['id']}", {name: 96})["runtime"] == 96
    assert buyer.get(f"{CONCERTS}/{created['id']}")["runtime"] == 96


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_named_and_nothing_is_written(
    field: str, value: Any, make: Maker, owner: Api, concert: Any, buyer: Api
) -> None:
    before = make.count("concerts")

    for method, path, body in (
        ("POST", CONCERTS, concert_body(**{field: value})),
        ("PATCH", f"{CONCERTS}/{concert['id']}", {field: value}),
    ):
        problems = owner.refused(400, 1001, method, path, json=body)
        assert [problem["field"].lower() for problem in problems] == [field.lower()]

    assert make.count("concerts") == before
    after = buyer.get(f"{CONCERTS}/{concert['id']}")
    assert {name: after[name] for name in after if name != "schedules"} == {
        name: concert[name] for name in concert if name != "userId"
    }


@pytest.mark.parametrize("field", ["concertName", "runTime", "startDate", "endDate", "price"])
def test_a_missing_field_is_named(field: str, seller: Api) -> None:
    body = concert_body()
    del body[field]
    problems = seller.refused(400, 1001, "POST", CONCERTS, json=body)
    assert [problem["field"].lower() for problem in problems] == [field.lower()]


def test_it_must_not_end_before_it_starts(make: Maker, seller: Api, buyer: Api) -> None:
    seller.refused(400, 1001, "POST", CONCERTS, json=concert_body(startDate="2031-03-02", endDate="2031-03-01"))
    concert = make.concert(seller, startDate="2031-03-02", endDate="2031-03-02")
    path = f"{CONCERTS}/{concert['id']}"
    seller.refused(400, 1001, "PATCH", path, json={"endDate": "2031-03-01"})
    seller.refused(400, 1001, "PATCH", path, json={"startDate": "2031-03-03"})
    seller.refused(400, 1001, "PATCH", path, json={"startDate": "2031-03-05", "endDate": "2031-03-04"})
    assert buyer.get(path)["startDate"] == buyer.get(path)["endDate"] == "2031-03-02"
    assert seller.patch(path, {"startDate": "2031-04-05", "endDate": "2031-04-06"})["endDate"] == "2031-04-06"


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_kept_and_given_back_as_it_was(name: str, seller: Api, buyer: Api) -> None:
    created = seller.post(CONCERTS, concert_body(concertName=name))
    assert created["concertName"] == name
    assert buyer.get(f"{CONCERTS}/{created['id']}")["concertName"] == name
    assert buyer.get(CONCERTS, params={"sort": "id,desc", "size": 1})["content"] == [created]
    assert created in buyer.get(f"{CONCERTS}/search", params={"concert-name": name})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"concertName": "New name"}, "concertName"), ({"runTime": 7}, "runtime"), ({"price": 7}, "price"),
        ({"startDate": "2031-02-01"}, "startDate"), ({"endDate": "2031-04-30"}, "endDate"),
        ({"concertImage": ""}, "concertImage"),
    ],
)  # fmt: skip
def test_a_patch_changes_what_it_names_and_nothing_else(
    change: dict[str, Any], field: str, make: Maker, seller: Api, buyer: Api
) -> None:
    concert = make.concert(seller)
    changed = seller.patch(f"{CONCERTS}/{concert['id']}", change)
    assert changed == {**concert, field: next(iter(change.values()))}
    assert buyer.get(f"{CONCERTS}/{concert['id']}")[field] == changed[field]


def test_an_empty_patch_changes_nothing(make: Maker, seller: Api) -> None:
    concert = make.concert(seller)
    assert seller.patch(f"{CONCERTS}/{concert['id']}", {}) == concert


def test_a_patch_cannot_give_a_concert_away(make: Maker, seller: Api) -> None:
    concert = make.concert(seller)
    attempt = {"id": 1, "userId": 1, "isDeleted": True, "createdBy": 1, "unknown": 1}
    assert seller.patch(f"{CONCERTS}/{concert['id']}", attempt) == concert


def test_a_manager_may_change_it_and_is_written_down(make: Maker, seller: Api, manager: Api) -> None:
    concert = make.concert(seller)
    assert manager.patch(f"{CONCERTS}/{concert['id']}", {"price": 5})["userId"] == seller.user_id
    (row,) = make.rows("concert", "SELECT * FROM concerts WHERE id = %s", concert["id"])
    assert (row["created_by"], row["updated_by"]) == (seller.user_id, manager.user_id)
    assert row["updated_at"] > row["created_at"]


def test_its_schedules_are_listed(make: Maker, buyer: Api) -> None:
    concert, venue = make.concert(), make.venue()
    schedules = [make.schedule(concert, venue, concertDate=f"2031-03-0{day}") for day in (1, 2, 3)]
    make.schedule(venue=venue)
    listed = buyer.get(f"{CONCERTS}/{concert['id']}")["schedules"]
    assert sorted(listed, key=lambda schedule: schedule["id"]) == [
        {"id": one["id"], "stageId": venue["id"], "concertDate": one["concertDate"], "concertTime": "19:30:00"}
        for one in schedules
    ]


@pytest.mark.parametrize("concert_id", ["999999999", "0", "-1", "9223372036854775807"])
def test_a_concert_that_does_not_exist(concert_id: str, buyer: Api, make: Maker) -> None:
    buyer.refused(404, 3002, "GET", f"{CONCERTS}/{concert_id}")
    for api in (make.person(Role.SELLER), make.person(Role.MANAGER)):
        api.refused(404, 3002, "PATCH", f"{CONCERTS}/{concert_id}", json={"price": 1})
        api.refused(404, 3002, "DELETE", f"{CONCERTS}/{concert_id}")


@pytest.mark.parametrize(
    "concert_id", ["x", "1.5", "1.0", "%201", "+1", "9223372036854775808", "1e3", "%20", "0x1", "1;2", "１x"]
)
def test_an_id_that_is_none_is_invalid_input(concert_id: str, buyer: Api, manager: Api) -> None:
    buyer.refused(400, 1001, "GET", f"{CONCERTS}/{concert_id}")
    manager.refused(400, 1001, "DELETE", f"{CONCERTS}/{concert_id}")


def test_search_ignores_case_and_takes_every_character_literally(make: Maker, seller: Api, buyer: Api) -> None:
    unique = f"x{number()}y"
    names = [
        f"Rock {unique} NIGHT",
        f"rock 100% {unique}",
        f"rock a_b {unique}",
        f"rock a\\b {unique}",
        f"록 {unique} ÄÖ",
    ]
    made = {name: make.concert(seller, concertName=name) for name in names}

    def search(word: str) -> list[Any]:
        found: list[Any] = buyer.get(f"{CONCERTS}/search", params={"concert-name": word})
        return [concert for concert in found if unique in concert["concertName"]]

    assert search(unique) == [made[name] for name in names]
    assert search(f"rOCK {unique} night") == [made[names[0]]]
    assert search("100%") == [made[names[1]]]
    assert search("a_b") == [made[names[2]]]
    assert search("a\\b") == [made[names[3]]]
    assert search("äö") == [made[names[4]]]
    assert search("%") == [made[names[1]]]
    assert search("_") == [made[names[2]]]
    assert search("r%k") == search("r_ck") == search(f"{unique}*") == []


def test_search_needs_a_word(buyer: Api) -> None:
    problems = buyer.refused(400, 1001, "GET", f"{CONCERTS}/search")
    assert [problem["field"] for problem in problems] == ["concert-name"]
    buyer.refused(400, 1001, "GET", f"{CONCERTS}/search?concert-name=%00")
    assert buyer.get(f"{CONCERTS}/search?concert-name=no-concert-has-this-name") == []
