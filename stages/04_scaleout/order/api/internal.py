"""What other services ask of order-service; its answers have no envelope."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from common.openapi import INTERNAL, documented, services_only
from common.wire import Ids, bare
from order import seats
from order.resources import resources
from order.schemas import ActiveBookingsView

router = APIRouter(tags=[INTERNAL], dependencies=[services_only()])


@router.post("/bookings/active", response_model=list[ActiveBookingsView], responses=documented())
async def list_active_bookings(request: Request, body: Annotated[Ids, Body(examples=[[7, 8]])]) -> Response:
    """What is booked in those of the schedules in which anything is: how many seats, the last row, the last column."""
    return bare(await seats.active_bookings(resources(request).database, body))
