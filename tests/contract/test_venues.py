"""Venues, which the wire calls stages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.client import Api
from tests.contract.making import VENUES, Maker, venue_body

pytestmark = pytest.mark.unchanged_code("concert/api/venues.py", "concert/venues.py")

WRONG = [
    ("name", ""), ("name", "  "), ("name", None), ("name", 7), ("name", "a\x00"), ("location", ""), ("location", None),
    ("location", 7), ("row", 0), ("row", -1), ("row", "10"), ("row", 1.5), ("row", None), ("row", True), ("row", 2**31),
    ("col", 0), ("col", -1), ("col", "10"), ("col", 10**30), ("col", None),
]  # fmt: skip


@pytest.fixture(scope="module")
def venue(make: Maker) -> Any:
    """For what is refused, and so changes nothing."""
    return make.venue()


def test_a_new_venue_is_read_back(make: Maker, manager: Api, buyer: Api) -> None:
    body = venue_body(name="Hall <b>1</b> '🎻'", location='서울 "송파구"')

    created = manager.post(VENUES, body)

    assert created == {**body, "id": created["id"]}
    assert buyer.get(f"{VENUES}/{created['id']}") == created
    assert created in buyer.get(VENUES)
    (row,) = make.rows("concert", "SELECT * FROM venues WHERE id = %s", created["id"])
    assert (row["created_by"], row["updated_by"], row["is_deleted"]) == (manager.user_id, manager.user_id, False)


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_named_and_nothing_is_written(
    field: str, value: Any, make: Maker, venue: Any, manager: Api, buyer: Api
) -> None:
    before = make.count("venues")
    for method, path, body in (
        ("POST", VENUES, venue_body(**{field: value})),
        ("PATCH", f"{VENUES}/{venue['id']}", {field: value}),
    ):
        problems = manager.refused(400, 1001, method, path, json=body)
        assert [problem["field"] for problem in problems] == [field]
    assert make.count("venues") == before
    assert buyer.get(f"{VENUES}/{venue['id']}") == venue


@pytest.mark.parametrize("field", ["name", "location", "row", "col"])
def test_a_missing_field_is_named(field: str, manager: Api) -> None:
    body = venue_body()
    del body[field]
    problems = manager.refused(400, 1001, "POST", VENUES, json=body)
    assert [problem["field"] for problem in problems] == [field]


@pytest.mark.parametrize("change", [{"name": "New"}, {"location": "Busan"}, {"row": 11}, {"col": 1}, {}])
def test_a_patch_changes_what_it_names_and_nothing_else(
    change: dict[str, Any], make: Maker, manager: Api, buyer: Api
) -> None:
    venue = make.venue()
    changed = manager.patch(f"{VENUES}/{venue['id']}", change)
    assert changed == {**venue, **change}
    assert buyer.get(f"{VENUES}/{venue['id']}") == changed
    assert changed in buyer.get(VENUES)


def test_who_changed_it_is_written_down(make: Maker, manager: Api) -> None:
    venue = make.venue()
    manager.patch(f"{VENUES}/{venue['id']}", {"row": 12})
    (row,) = make.rows("concert", "SELECT * FROM venues WHERE id = %s", venue["id"])
    assert row["updated_by"] == manager.user_id != row["created_by"]
    assert row["updated_at"] > row["created_at"]


def test_a_venue_that_does_not_exist(buyer: Api, manager: Api) -> None:
    path = f"{VENUES}/999999999"
    buyer.refused(404, 3001, "GET", path)
    manager.refused(404, 3001, "PATCH", path, json={"row": 1})
    manager.refused(404, 3001, "DELETE", path)
    buyer.refused(400, 1001, "GET", f"{VENUES}/hall")
