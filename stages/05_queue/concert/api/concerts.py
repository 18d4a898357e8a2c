"""Concerts."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from common.errors import (
    ConcertNotFound,
    NotThisSellersConcert,
    ScheduleAfterConcert,
    ScheduleBeforeConcert,
    WouldStrandBookings,
)
from common.identity import Role
from common.openapi import STRANGERS, allow, documented
from common.paging import Page, Paging
from common.wire import Envelope, Id, Nothing, Text, ok
from concert import concerts
from concert.cache_entries import Kind
from concert.front import remembered
from concert.resources import resources
from concert.schemas import ConcertDetailView, ConcertPatch, ConcertRequest, ConcertView

router = APIRouter(prefix="/concerts", tags=["concerts"])

ConcertId = Annotated[Id, Path(alias="concertId")]
SELLERS = [allow(Role.SELLER, Role.MANAGER)]

# Every change makes them void; the seconds are the most that an outage can make them old (docs/decisions/0006).
PAGE = Kind("concert-page", Page[ConcertView], seconds=60)
SEARCH = Kind("concert-search", list[ConcertView], seconds=60)
DETAIL = Kind("concert", ConcertDetailView, seconds=60)


@router.get("", response_model=Envelope[Page[ConcertView]], responses=documented(refuses=STRANGERS))
async def list_concerts(request: Request, paging: Paging) -> Response:
    """One page of all concerts; sort by any field of a concert but its image."""
    key = (paging.page, paging.size, *paging.sort)
    return await remembered(request, PAGE, key, lambda: concerts.page(resources(request), paging))


@router.get("/search", response_model=Envelope[list[ConcertView]], responses=documented(refuses=STRANGERS))
async def search_concerts(request: Request, name: Annotated[Text, Query(alias="concert-name")]) -> Response:
    """The concerts whose name contains the word, ignoring case."""
    return await remembered(request, SEARCH, name, lambda: concerts.named(resources(request), name))


@router.get(
    "/{concertId}",
    response_model=Envelope[ConcertDetailView],
    responses=documented(ConcertNotFound, refuses=STRANGERS),
)
async def get_concert(request: Request, concert_id: ConcertId) -> Response:
    """One concert with its schedules."""
    return await remembered(request, DETAIL, concert_id, lambda: concerts.detail(resources(request), concert_id))


@router.post("", response_model=Envelope[ConcertView], responses=documented(), dependencies=SELLERS)
async def create_concert(request: Request, body: ConcertRequest) -> Response:
    """A new concert of the seller who asks."""
    return ok(await concerts.create(resources(request), body))


@router.patch(
    "/{concertId}",
    response_model=Envelope[ConcertView],
    responses=documented(
        ConcertNotFound, NotThisSellersConcert, ScheduleBeforeConcert, ScheduleAfterConcert, WouldStrandBookings
    ),
    dependencies=SELLERS,
)
async def change_concert(request: Request, concert_id: ConcertId, body: ConcertPatch) -> Response:
    """Changes the fields that are named."""
    return ok(await concerts.change(resources(request), concert_id, body))


@router.delete(
    "/{concertId}",
    response_model=Envelope[Nothing],
    responses=documented(ConcertNotFound, NotThisSellersConcert, WouldStrandBookings),
    dependencies=SELLERS,
)
async def delete_concert(request: Request, concert_id: ConcertId) -> Response:
    """Deletes a concert with its schedules, unless seats are booked."""
    await concerts.delete(resources(request), concert_id)
    return ok()
