"""Which seats are taken."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from common.openapi import INTERNAL, documented, services_only
from common.wire import Envelope, Id, bare, ok
from order import seats
from order.resources import resources
from order.schemas import ActiveBookingsView

router = APIRouter(prefix="/bookings")

ScheduleId = Annotated[Id, Path(alias="scheduleId")]


@router.get("/seats/{scheduleId}", response_model=Envelope[list[str]], responses=documented(), tags=["seats"])
async def list_taken_seats(request: Request, schedule_id: ScheduleId) -> Response:
    """The seats of a schedule that can not be booked now, as ``"<row> <col>"``."""
    return ok(await seats.taken(resources(request).database, schedule_id))


@router.post(
    "/active",
    response_model=list[ActiveBookingsView],
    responses=documented(),
    tags=[INTERNAL],
    dependencies=[services_only()],
)
async def list_active_bookings(request: Request, body: list[Id]) -> Response:
    """What is booked in those of the schedules in which anything is: how many seats, the last row, the last column."""
    return bare(await seats.active_bookings(resources(request).database, body))
