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
from common.wire import Envelope, Id, Nothing, Text, ok, ok_bytes
from concert import concerts
from concert.resources import resources
from concert.schemas import ConcertDetailView, ConcertPatch, ConcertRequest, ConcertView

router = APIRouter(prefix="/concerts", tags=["concerts"])

ConcertId = Annotated[Id, Path(alias="concertId")]
SELLERS = [allow(Role.SELLER, Role.MANAGER)]


@router.get("", response_model=Envelope[Page[ConcertView]], responses=documented(refuses=STRANGERS))
async def list_concerts(request: Request, paging: Paging) -> Response:
    """One page of all concerts; sort by any field of a concert but its image."""
    return ok_bytes(await concerts.page(resources(request), paging))


@router.get("/search", response_model=Envelope[list[ConcertView]], responses=documented(refuses=STRANGERS))
async def search_concerts(request: Request, name: Annotated[Text, Query(alias="concert-name")]) -> Response:
    """The concerts whose name contains the word, ignoring case."""
    return ok_bytes(await concerts.search(resources(request), name))


@router.get(
    "/{concertId}",
    response_model=Envelope[ConcertDetailView],
    responses=documented(ConcertNotFound, refuses=STRANGERS),
)
async def get_concert(request: Request, concert_id: ConcertId) -> Response:
    """One concert with its schedules."""
    return ok_bytes(await concerts.detail(resources(request), concert_id))


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
