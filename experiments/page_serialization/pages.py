"""The pages that are written down: as concert-service makes them, Korean text included."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Generic, TypeVar

from msgspec import Struct
from pydantic import create_model

from common.paging import Page, PageRequest
from common.wire import WireModel
from experiments.page_serialization.stage import ConcertView, VenueView

T = TypeVar("T")

# One element, the contract's default, and the contract's largest page.
SIZES = (1, 20, 100)
TOTAL = 5_000

_NAMES = ("서울 재즈 페스티벌", "봄밤의 콘서트", "부산 록 페스티벌", "Spring Concert", "한강 오케스트라 정기 연주회")


class ConcertPage(Page[ConcertView]):
    """A page of concerts with a name in this module: pickle finds a class by its name only.

    ``Page[ConcertView]`` has one if somebody happened to write it at the top of a module (test_pickle.py).
    """


class VenuePage(Page[VenueView]):
    """A page of venues with a name in this module."""


class StructPage(Struct, Generic[T], frozen=True, rename="camel"):
    """The same page for msgspec, whose speed comes from its own structs."""

    content: list[T]
    number: int
    size: int
    total_elements: int
    total_pages: int
    number_of_elements: int
    first: bool
    last: bool
    empty: bool


class ConcertStruct(Struct, frozen=True, rename="camel"):
    """The same concert for msgspec."""

    id: int
    user_id: int
    concert_name: str
    runtime: int
    start_date: date
    end_date: date
    price: int
    concert_image: str


class VenueStruct(Struct, frozen=True, rename="camel"):
    """The same venue for msgspec."""

    id: int
    name: str
    location: str
    row: int
    col: int


class OldConcertStruct(Struct, frozen=True, rename="camel"):
    """A concert before it had an image."""

    id: int
    user_id: int
    concert_name: str
    runtime: int
    start_date: date
    end_date: date
    price: int


# Of the same name as the class of today, as it is after a release; only then is it the shape that tells them apart.
OldConcertView: type[WireModel] = create_model(
    "ConcertView",
    __base__=WireModel,
    __module__=ConcertView.__module__,
    **{name: (field.annotation, field) for name, field in ConcertView.model_fields.items() if name != "concert_image"},  # type: ignore[call-overload]
)


def concerts(size: int) -> Page[ConcertView]:
    """The first page of ``size`` concerts."""
    opening = date(2027, 3, 1)
    content = [
        ConcertView(
            id=number,
            user_id=number % 7 + 2,
            concert_name=f"{_NAMES[number % len(_NAMES)]} {number}",
            runtime=90 + number % 60,
            start_date=opening + timedelta(days=number),
            end_date=opening + timedelta(days=number + 30),
            price=50_000 + 1_000 * (number % 100),
            concert_image=f"https://images.example/concerts/{number}.jpg",
        )
        for number in range(1, size + 1)
    ]
    return Page[ConcertView].of(content, PageRequest(size=size), TOTAL)


def no_concerts() -> Page[ConcertView]:
    """The page of an empty list."""
    return Page[ConcertView].of([], PageRequest(), 0)


def venues() -> Page[VenueView]:
    """A page of something else."""
    content = [VenueView(id=4, name="올림픽 홀", location="서울", row=20, col=30)]
    return Page[VenueView].of(content, PageRequest(), 1)


def no_venues() -> Page[VenueView]:
    """The page of an empty list of something else: nothing in it tells of what."""
    return Page[VenueView].of([], PageRequest(), 0)


def of_an_older_version(page: Page[ConcertView]) -> Page[Any]:
    """``page`` as the release made it in which a concert had no image yet."""
    content = [OldConcertView.model_validate(concert.model_dump(exclude={"concert_image"})) for concert in page.content]
    return page.showing(OldConcertView, content)
