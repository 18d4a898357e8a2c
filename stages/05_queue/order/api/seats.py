"""Which seats are taken."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from common.openapi import STRANGERS, documented
from common.wire import Envelope, Id, ok
from order import seats
from order.resources import resources
from order.schemas import Seat

router = APIRouter(prefix="/bookings", tags=["seats"])


@router.get("/seats/{scheduleId}", response_model=Envelope[list[Seat]], responses=documented(refuses=STRANGERS))
async def list_taken_seats(request: Request, schedule_id: Annotated[Id, Path(alias="scheduleId")]) -> Response:
    """The seats of a schedule that can not be booked now, as ``"<row> <col>"``."""
    return ok(await seats.taken(resources(request).database, schedule_id))
