"""The arithmetic of pages, and which orderings a list accepts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import to_json
from sqlalchemy import BigInteger, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.database import Database
from common.errors import InvalidInput, ServiceUnavailable
from common.paging import Page, PageQuery, PageRequest
from common.settings import ServiceSettings
from common.wire import WireModel


class Base(DeclarativeBase):
    pass


class Row(Base):
    __tablename__ = "rows"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    price: Mapped[int]


class RowView(WireModel):
    id: int
    price: int


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> Database:
    """A database that nobody has connected to: what is refused must be refused before it is asked."""
    monkeypatch.setenv("IDENTITY_KEY", "k" * 32)
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody:nothing@127.0.0.1:1/none")
    return Database(ServiceSettings())


@pytest.fixture
def rows() -> PageQuery[RowView]:
    statement: Any = select(Row.id, Row.price)
    return PageQuery(RowView, statement, sortable={"id": Row.id, "price": Row.price}, tie_breaker=Row.id)


def spring(total: int, page: int, size: int) -> dict[str, object]:
    """What the original's ``PageImpl`` says, computed from the elements themselves."""
    chunks = [range(total)[start : start + size] for start in range(0, total, size)]
    here = chunks[page] if page < len(chunks) else range(0)
    return {
        "content": list(here), "number": page, "size": size, "totalElements": total, "totalPages": len(chunks),
        "numberOfElements": len(here), "first": page == 0, "last": page >= len(chunks) - 1, "empty": not here,
    }  # fmt: skip


@given(
    total=st.integers(min_value=0, max_value=500),
    page=st.integers(min_value=0, max_value=60),
    size=st.integers(min_value=1, max_value=100),
)
def test_a_page_describes_itself_as_the_original_does(total: int, page: int, size: int) -> None:
    request = PageRequest(page=page, size=size)
    content = list(range(total)[request.offset : request.offset + size])
    assert Page[int].of(content, request, total).model_dump(by_alias=True) == spring(total, page, size)


@given(total=st.integers(min_value=0, max_value=500), size=st.integers(min_value=1, max_value=100))
def test_the_pages_together_are_the_list(total: int, size: int) -> None:
    seen: list[int] = []
    number, last = 0, False
    while not last:
        request = PageRequest(page=number, size=size)
        page = Page[int].of(list(range(total)[request.offset : request.offset + size]), request, total)
        seen.extend(page.content)
        number, last = number + 1, page.last
    assert seen == list(range(total))


def test_the_defaults_are_the_contracts() -> None:
    assert PageRequest() == PageRequest(page=0, size=20, sort=[])


@pytest.mark.parametrize(
    "wrong",
    [
        {"page": "1.0"},
        {"page": " 1"},
        {"page": "+1"},
        {"page": "1_0"},
        {"page": ""},
        {"page": "\uff11"},
        {"size": "2.0"},
        {"page": "1\n"},
        {"size": "1e1"},
        {"page": -1},
        {"size": 0},
        {"size": -1},
        {"size": 101},
        {"page": "x"},
        {"size": "1.5"},
        {"page": 2**64},
    ],
)
def test_impossible_pages_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        PageRequest.model_validate(wrong)


@given(st.lists(st.builds(RowView, id=st.integers(), price=st.integers())), st.integers(0, 50), st.integers(1, 100))
def test_a_page_is_read_back_as_what_it_was(content: list[RowView], number: int, size: int) -> None:
    page = Page[RowView].of(content, PageRequest(page=number, size=size), 5000)
    back = Page[RowView].model_validate_json(to_json(page, by_alias=True))
    assert back == page
    assert type(back) is type(page) is Page[RowView]
    assert all(type(row) is RowView for row in back.content)


class PricedView(RowView):
    name: str


def test_a_page_can_show_its_elements_in_another_way() -> None:
    page = Page[RowView].of([RowView(id=1, price=2)], PageRequest(page=3, size=1), 9)
    named = page.showing(PricedView, [PricedView(**row.model_dump(), name="a") for row in page.content])
    assert type(named) is Page[PricedView]
    before, after = page.model_dump(by_alias=True), named.model_dump(by_alias=True)
    assert after.pop("content") == [{"id": 1, "price": 2, "name": "a"}]
    assert before.pop("content") == [{"id": 1, "price": 2}]
    assert after == before


def test_the_deepest_page_has_an_offset_that_a_bigint_holds() -> None:
    assert PageRequest(page=2**31 - 1, size=100).offset < 2**63


@pytest.mark.parametrize(
    "sort",
    [
        ["name"], ["name,asc"], [""], [",asc"], ["price,up"], ["price,asc,id"], ["price,desc,desc"], ["price;asc"],
        ["price", "price,desc"], ["id,asc", "name"], ["Price"], ["price desc"], ["price --"], ["1"], ["*"], ["rows.id"],
    ],
)  # fmt: skip
def test_an_ordering_that_is_not_offered_is_refused(
    sort: list[str], rows: PageQuery[RowView], unreachable: Database
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        asyncio.run(rows.page(unreachable, PageRequest(sort=sort)))
    assert [problem.field for problem in refusal.value.problems] == ["sort"]


@pytest.mark.parametrize("sort", [[], ["price"], ["price,asc"], ["price,desc"], ["price,DESC", "id,asc"]])
def test_an_ordering_that_is_offered_reaches_the_database(
    sort: list[str], rows: PageQuery[RowView], unreachable: Database
) -> None:
    with pytest.raises(ServiceUnavailable, match="ConnectionRefusedError"):
        asyncio.run(rows.page(unreachable, PageRequest(sort=sort)))
