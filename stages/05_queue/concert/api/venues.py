"""Venues, which the wire calls stages."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from common.errors import VenueNotFound, WouldStrandBookings
from common.identity import Role
from common.openapi import STRANGERS, allow, documented
from common.wire import Envelope, Id, Nothing, ok
from concert import venues
from concert.resources import resources
from concert.schemas import VenuePatch, VenueRequest, VenueView

router = APIRouter(prefix="/stages", tags=["venues"])

VenueId = Annotated[Id, Path(alias="stageId")]
MANAGERS = [allow(Role.MANAGER)]


@router.get("", response_model=Envelope[list[VenueView]], responses=documented(refuses=STRANGERS))
async def list_venues(request: Request) -> Response:
    """All venues."""
    return ok(await venues.everywhere(resources(request)))


@router.get("/{stageId}", response_model=Envelope[VenueView], responses=documented(VenueNotFound, refuses=STRANGERS))
async def get_venue(request: Request, venue_id: VenueId) -> Response:
    """One venue."""
    return ok(await venues.one(resources(request), venue_id))


@router.post("", response_model=Envelope[VenueView], responses=documented(), dependencies=MANAGERS)
async def create_venue(request: Request, body: VenueRequest) -> Response:
    """A new venue."""
    return ok(await venues.create(resources(request), body))


@router.patch(
    "/{stageId}",
    response_model=Envelope[VenueView],
    responses=documented(VenueNotFound, WouldStrandBookings),
    dependencies=MANAGERS,
)
async def change_venue(request: Request, venue_id: VenueId, body: VenuePatch) -> Response:
    """Changes the fields that are named; it cannot shrink below a booked seat."""
    return ok(await venues.change(resources(request), venue_id, body))


@router.delete(
    "/{stageId}",
    response_model=Envelope[Nothing],
    responses=documented(VenueNotFound, WouldStrandBookings),
    dependencies=MANAGERS,
)
async def delete_venue(request: Request, venue_id: VenueId) -> Response:
    """Deletes a venue with its schedules, unless seats are booked."""
    await venues.delete(resources(request), venue_id)
    return ok()
