"""What other services ask of order-service; its answers have no envelope."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Request
from starlette.responses import Response

from common.openapi import INTERNAL, documented, services_only
from common.replay_tokens import REPLAY_TOKEN
from common.wire import Ids, bare
from order import batch, seats, tickets
from order.batch import Item
from order.resources import resources
from order.schemas import ActiveBookingsView
from order.tickets import MAX_TICKETS, TICKET_ID, OutcomeView, TicketId

router = APIRouter(tags=[INTERNAL], dependencies=[services_only()])

_ENDS = Body(max_length=MAX_TICKETS, examples=[[{"ticketId": TICKET_ID, "userId": 3, "end": "ABANDONED"}]])
_TICKETS = Body(max_length=MAX_TICKETS, examples=[[TICKET_ID]])


@router.post("/bookings/active", response_model=list[ActiveBookingsView], responses=documented())
async def list_active_bookings(request: Request, body: Annotated[Ids, Body(examples=[[7, 8]])]) -> Response:
    """What is booked in those of the schedules in which anything is: how many seats, the last row, the last column."""
    return bare(await seats.active_bookings(resources(request).database, body))


async def replays_only(request: Request) -> None:
    """Refuses all services but the gateway and the dispatcher, who have a token for this request."""
    token = request.headers.get(REPLAY_TOKEN, "")
    resources(request).replay_guard.admit(token, request.method, request.scope["raw_path"], await request.body())


@router.post(
    "/bookings/batch", response_model=list[TicketId], responses=documented(), dependencies=[Depends(replays_only)]
)
async def replay_requests(request: Request, items: Annotated[list[Item], _ENDS]) -> Response:
    """Gives each ticket that has none its outcome, in their order; a repetition changes nothing.

    The answer names those that it cannot answer, since their requests are no bookings as they stand: the API can.
    """
    return bare(await batch.settle(resources(request), items))


@router.post("/tickets", response_model=list[OutcomeView], responses=documented())
async def look_up_tickets(request: Request, body: Annotated[list[TicketId], _TICKETS]) -> Response:
    """The outcomes of those of the tickets that have one: many at once, as many wait for theirs at once."""
    return bare(await tickets.look_up(resources(request), body))
