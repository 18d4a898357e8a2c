"""What other services ask of concert-service; their answers have no envelope."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Path, Request
from starlette.responses import Response

from common.errors import ConcertNotFound, ScheduleNotFound
from common.openapi import INTERNAL, documented, services_only
from common.wire import Id, Ids, JSONBytes, Text, bare
from concert import concerts, schedules
from concert.resources import resources
from concert.schemas import ConcertView, ScheduleDetailView

router = APIRouter(tags=[INTERNAL], dependencies=[services_only()])

UserId = Annotated[Id, Path(alias="userId")]


@router.get("/schedules/{scheduleId}/detail", response_model=ScheduleDetailView, responses=documented(ScheduleNotFound))
async def get_schedule_detail(request: Request, schedule_id: Annotated[Id, Path(alias="scheduleId")]) -> Response:
    """A schedule with its concert and venue: what a booking needs to know."""
    return JSONBytes(await schedules.detail(resources(request), schedule_id))


@router.get("/concerts/{concertId}/detail", response_model=ConcertView, responses=documented(ConcertNotFound))
async def get_concert_detail(request: Request, concert_id: Annotated[Id, Path(alias="concertId")]) -> Response:
    """One concert."""
    return bare(await concerts.one(resources(request), concert_id))


@router.post("/concerts/list", response_model=list[ConcertView], responses=documented())
async def list_concerts_by_id(request: Request, body: Annotated[Ids, Body(examples=[[1, 2]])]) -> Response:
    """Those of the concerts that exist, by id."""
    return bare(await concerts.with_ids(resources(request), body))


@router.get("/concerts/{userId}/seller", response_model=list[ConcertView], responses=documented())
async def list_concerts_of_seller(request: Request, user_id: UserId) -> Response:
    """What a seller puts on."""
    return bare(await concerts.of_seller(resources(request), user_id))


# A name may hold a slash, which arrives here as one: hence "path", and a seller's id that must be a number.
@router.get("/concerts/{userId:int}/{name:path}/search", response_model=list[ConcertView], responses=documented())
async def search_concerts_of_seller(request: Request, user_id: UserId, name: Annotated[Text, Path()]) -> Response:
    """A seller's concerts whose name contains the word, ignoring case."""
    return bare(await concerts.named(resources(request), name, user_id))


@router.get("/concerts/{name:path}/search", response_model=list[ConcertView], responses=documented())
async def search_concerts_by_name(request: Request, name: Annotated[Text, Path()]) -> Response:
    """The concerts whose name contains the word, ignoring case."""
    return bare(await concerts.named(resources(request), name))
