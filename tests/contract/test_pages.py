"""Pages: their shape, their bounds, their order."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.client import Api, outcome
from tests.contract.making import CONCERTS, Maker

KEYS = {
    "content", "number", "size", "totalElements", "totalPages", "numberOfElements", "first", "last", "empty",
}  # fmt: skip
CONCERT_KEYS = {"id", "userId", "concertName", "runtime", "startDate", "endDate", "price", "concertImage"}


def page(api: Api, query: str) -> Any:
    return api.get(f"{CONCERTS}?{query}")


def ids(found: Any) -> list[int]:
    return [concert["id"] for concert in found["content"]]


def newest(api: Api, count: int) -> list[Any]:
    """The concerts made last, the newest first."""
    content: list[Any] = page(api, f"sort=id,desc&size={count}")["content"]
    return content


@pytest.fixture
def five(make: Maker, seller: Api) -> list[Any]:
    """The five newest concerts, in order of their ids, with ties in price and nothing else in common."""
    return [
        make.concert(seller, price=price, runTime=60 + day, startDate=f"2031-03-0{day}", endDate=f"2031-04-0{day}")
        for day, price in enumerate([300, 100, 200, 100, 300], 1)
    ]


def test_the_pages_of_a_list_describe_themselves(five: list[Any], buyer: Api) -> None:
    size = 2
    total = page(buyer, "size=1")["totalElements"]
    pages = -(-total // size)
    assert pages >= 3

    for number, count in ((0, 2), (1, 2), (pages - 1, total - (pages - 1) * size), (pages, 0), (pages + 5, 0)):
        found = page(buyer, f"page={number}&size={size}&sort=id,asc")
        assert found.keys() == KEYS
        content = found.pop("content")
        assert len(content) == count
        assert all(concert.keys() == CONCERT_KEYS for concert in content)
        assert found == {
            "number": number, "size": size, "totalElements": total, "totalPages": pages, "numberOfElements": count,
            "first": number == 0, "last": number >= pages - 1, "empty": count == 0,
        }  # fmt: skip


def test_the_defaults_are_page_0_of_20(five: list[Any], buyer: Api) -> None:
    found = page(buyer, "")
    assert (found["number"], found["size"], found["first"]) == (0, 20, True)
    assert found["content"] == page(buyer, "page=0&size=20")["content"]


@pytest.mark.parametrize("size", [1, 3, 100])
def test_the_pages_together_are_the_list(size: int, five: list[Any], buyer: Api) -> None:
    seen: list[int] = []
    number, last = 0, False
    total = page(buyer, "size=1")["totalElements"]
    # A page of one is walked only as far as it is worth.
    while not last and number < 60:
        found = page(buyer, f"page={number}&size={size}")
        seen += ids(found)
        number, last = number + 1, found["last"]
    assert len(seen) == len(set(seen)) == min(total, 60 * size)


def test_a_page_far_behind_the_end_is_empty(five: list[Any], buyer: Api) -> None:
    for number in (10_000, 10_000_000, 2**31 - 1):
        found = page(buyer, f"page={number}&size=100&sort=price,desc")
        assert (found["content"], found["number"], found["empty"], found["last"]) == ([], number, True, True)
        assert found["totalElements"] >= 5


def test_a_page_that_no_counter_holds_is_no_error_of_ours(buyer: Api) -> None:
    for number in ("2147483648", "9223372036854775808", "1" + "0" * 30):
        assert outcome(buyer.send("GET", f"{CONCERTS}?page={number}")) in {(200, 0), (400, 1001)}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("page=-1", "page"), ("page=x", "page"), ("page=1.5", "page"), ("page=", "page"), ("page=0x1", "page"),
        ("page=1.0", "page"), ("page=%201", "page"), ("page=+1", "page"), ("page=%2B1", "page"), ("size=2.0", "size"),
        ("size=0", "size"), ("size=-1", "size"), ("size=101", "size"), ("size=1000000", "size"), ("size=many", "size"),
        ("size=", "size"), ("size=NaN", "size"),
        ("sort=nothing", "sort"), ("sort=nothing,asc", "sort"), ("sort=price,up", "sort"),
        ("sort=price,asc,desc", "sort"),
        ("sort=,asc", "sort"), ("sort=price;DROP TABLE concerts", "sort"), ("sort=is_deleted", "sort"),
        ("sort=created_by", "sort"), ("sort=price,asc&sort=nothing,asc", "sort"), ("sort=%00", "sort"),
        ("sort=(select 1)", "sort"), ("sort=1", "sort"), ("sort=concert_name", "sort"), ("sort=__class__", "sort"),
    ],
)  # fmt: skip
def test_an_impossible_page_is_invalid_input(query: str, field: str, buyer: Api) -> None:
    problems = buyer.refused(400, 1001, "GET", f"{CONCERTS}?{query}")
    assert [problem["field"] for problem in problems] == [field]


def test_every_wrong_parameter_is_named(buyer: Api) -> None:
    problems = buyer.refused(400, 1001, "GET", f"{CONCERTS}?page=-1&size=0")
    assert sorted(problem["field"] for problem in problems) == ["page", "size"]


@pytest.mark.parametrize("field", ["id", "concertName", "startDate", "endDate", "price", "runtime"])
def test_a_list_can_be_sorted_either_way(field: str, five: list[Any], buyer: Api) -> None:
    upwards = page(buyer, f"sort={field},asc&size=100")["content"]
    downwards = page(buyer, f"sort={field},desc&size=100")["content"]
    if field != "concertName":  # how text is ordered is the database's affair
        assert [one[field] for one in upwards] == sorted(one[field] for one in upwards)
        assert [one[field] for one in downwards] == sorted((one[field] for one in downwards), reverse=True)
    assert upwards[0] != downwards[0]


def test_the_direction_is_upwards_unless_it_is_named(five: list[Any], buyer: Api) -> None:
    assert page(buyer, "sort=price&size=100") == page(buyer, "sort=price,asc&size=100")


def test_sort_is_repeatable(make: Maker, seller: Api, buyer: Api) -> None:
    # Nobody else's concert costs as much, so that these are on the first page.
    made = [make.concert(seller, price=2_000_000_000 + price, runTime=time) for price, time in ((2, 5), (3, 9), (3, 4))]
    first, second, third = (concert["id"] for concert in made)

    def top(query: str) -> list[int]:
        return [one for one in ids(page(buyer, query)) if one in (first, second, third)]

    assert top("sort=price,desc&sort=runtime,asc") == [third, second, first]
    assert top("sort=price,desc&sort=runtime,desc") == [second, third, first]
    assert top("sort=price,desc&sort=id,desc") == [third, second, first]


def test_rows_that_are_equal_keep_their_order_from_page_to_page(make: Maker, seller: Api, buyer: Api) -> None:
    made = {make.concert(seller, price=1_999_999_999)["id"] for _ in range(7)}

    def walk() -> list[int]:
        seen: list[int] = []
        number = 0
        while not made <= set(seen) and number < 20:
            seen += ids(page(buyer, f"sort=price,desc&size=3&page={number}"))
            number += 1
        return seen

    first, second = walk(), walk()
    assert first == second
    assert len(first) == len(set(first))
    assert made <= set(first)


def test_a_list_shows_a_new_concert_at_once_and_a_deleted_one_no_more(make: Maker, seller: Api, buyer: Api) -> None:
    before = page(buyer, "sort=id,desc&size=1")["totalElements"]
    concert = make.concert(seller)
    assert newest(buyer, 1) == [concert]
    assert page(buyer, "sort=id,desc&size=1")["totalElements"] == before + 1
    changed = seller.patch(f"{CONCERTS}/{concert['id']}", {"concertName": "Renamed"})
    assert newest(buyer, 1) == [changed]
    seller.delete(f"{CONCERTS}/{concert['id']}")
    assert newest(buyer, 1) != [changed]
    assert page(buyer, "sort=id,desc&size=1")["totalElements"] == before
