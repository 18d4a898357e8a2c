"""Schedules and the seat lookup."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from common.errors import (
    ConcertNotFound,
    NotThisSellersConcert,
    ScheduleAfterConcert,
    ScheduleBeforeConcert,
    ScheduleNotFound,
    VenueNotFound,
    WouldStrandBookings,
)
from common.identity import Role
from common.openapi import STRANGERS, allow, documented
from common.wire import Envelope, Id, Nothing, ok
from concert import schedules
from concert.cache_entries import Kind
from concert.front import remembered
from concert.resources import resources
from concert.schemas import SchedulePatch, ScheduleRequest, ScheduleView, SeatLookupView

router = APIRouter(prefix="/schedules", tags=["schedules"])

ScheduleId = Annotated[Id, Path(alias="scheduleId")]
SELLERS = [allow(Role.SELLER, Role.MANAGER)]

# Bookings are made elsewhere and make nothing void here: a seat map is at most a second old.
SEATS = Kind("seats", SeatLookupView, seconds=1)


@router.get(
    "/{scheduleId}",
    response_model=Envelope[SeatLookupView],
    responses=documented(ScheduleNotFound, refuses=STRANGERS),
)
async def look_up_seats(request: Request, schedule_id: ScheduleId) -> Response:
    """A schedule, its venue's size, and the seats that can not be booked now."""
    return await remembered(request, SEATS, schedule_id, lambda: schedules.seats(resources(request), schedule_id))


@router.post(
    "",
    response_model=Envelope[ScheduleView],
    responses=documented(
        ConcertNotFound, NotThisSellersConcert, VenueNotFound, ScheduleBeforeConcert, ScheduleAfterConcert
    ),
    dependencies=SELLERS,
)
async def create_schedule(request: Request, body: ScheduleRequest) -> Response:
    """A new evening of a concert."""
    return ok(await schedules.create(resources(request), body))


@router.patch(
    "/{scheduleId}",
    response_model=Envelope[ScheduleView],
    responses=documented(
        ScheduleNotFound, NotThisSellersConcert, VenueNotFound, ScheduleBeforeConcert, ScheduleAfterConcert,
        WouldStrandBookings,
    ),
    dependencies=SELLERS,
)  # fmt: skip
async def change_schedule(request: Request, schedule_id: ScheduleId, body: SchedulePatch) -> Response:
    """Changes the fields that are named; booked seats must exist in a new venue."""
    return ok(await schedules.change(resources(request), schedule_id, body))


@router.delete(
    "/{scheduleId}",
    response_model=Envelope[Nothing],
    responses=documented(ScheduleNotFound, NotThisSellersConcert, WouldStrandBookings),
    dependencies=SELLERS,
)
async def delete_schedule(request: Request, schedule_id: ScheduleId) -> Response:
    """Deletes a schedule, unless seats are booked."""
    await schedules.delete(resources(request), schedule_id)
    return ok()
