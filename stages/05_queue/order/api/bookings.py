"""Bookings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from common.errors import (
    BookingNotCancellable,
    BookingNotFound,
    IdempotencyKeyReused,
    InvalidSeat,
    SameSeatTwice,
    ScheduleNotFound,
    SeatAlreadyBooked,
)
from common.identity import Role, require_self_or_manager
from common.openapi import allow, documented
from common.paging import Page, Paging
from common.wire import Envelope, Id, Nothing, Text, ok
from order import bookings, cancellation, listings
from order.idempotency import KeyHeader, request_key
from order.listings import Wanted
from order.resources import resources
from order.schemas import BookedView, BookingDetailView, BookingRequest, BookingView

router = APIRouter(prefix="/bookings", tags=["bookings"])

BookingId = Annotated[Id, Path(alias="bookingId")]
SellerId = Annotated[Id, Path(alias="sellerId")]
UserId = Annotated[Id, Path(alias="userId")]
Nickname = Annotated[Text, Query()]
ConcertName = Annotated[Text, Query(alias="concert-name")]
MANAGERS = [allow(Role.MANAGER)]
SELLERS = [allow(Role.SELLER, Role.MANAGER)]


@router.post(
    "",
    response_model=Envelope[list[BookedView]],
    responses=documented(InvalidSeat, SameSeatTwice, ScheduleNotFound, SeatAlreadyBooked, IdempotencyKeyReused),
)
async def create_bookings(request: Request, body: BookingRequest, key: KeyHeader = None) -> Response:
    """Holds seats of one show for who asks, all of them or none, until they are paid for or their time is over."""
    return await bookings.create(resources(request), body, request_key(request, key, body))


@router.get("", response_model=Envelope[Page[BookingView]], responses=documented(), dependencies=MANAGERS)
async def list_bookings(
    request: Request, paging: Paging, nickname: Nickname = "", concert_name: ConcertName = ""
) -> Response:
    """All bookings but those that wait for their payment; of people and concerts whose name contains a word."""
    wanted = Wanted(nickname=nickname, concert_name=concert_name)
    return ok(await listings.sold_bookings(resources(request), wanted, paging))


@router.get(
    "/seller/{sellerId}", response_model=Envelope[Page[BookingView]], responses=documented(), dependencies=SELLERS
)
async def list_bookings_of_seller(
    request: Request, seller_id: SellerId, paging: Paging, nickname: Nickname = "", concert_name: ConcertName = ""
) -> Response:
    """The same, of one seller's concerts."""
    require_self_or_manager(seller_id)
    wanted = Wanted(seller_id=seller_id, nickname=nickname, concert_name=concert_name)
    return ok(await listings.sold_bookings(resources(request), wanted, paging))


@router.get("/me/{userId}", response_model=Envelope[Page[BookingView]], responses=documented())
async def list_own_bookings(request: Request, user_id: UserId, paging: Paging) -> Response:
    """All bookings of one person."""
    require_self_or_manager(user_id)
    return ok(await listings.own_bookings(resources(request), user_id, paging))


@router.get("/{bookingId}", response_model=Envelope[BookingDetailView], responses=documented(BookingNotFound))
async def get_booking(request: Request, booking_id: BookingId) -> Response:
    """One booking with its show."""
    return ok(await bookings.one(resources(request), booking_id))


@router.patch(
    "/cancel/{bookingId}",
    response_model=Envelope[Nothing],
    responses=documented(BookingNotFound, BookingNotCancellable),
)
async def cancel_booking(request: Request, booking_id: BookingId) -> Response:
    """Gives a seat back, and its price to who has paid it."""
    await cancellation.cancel_booking(resources(request), booking_id)
    return ok()


@router.delete(
    "/{bookingId}",
    response_model=Envelope[Nothing],
    responses=documented(BookingNotFound, BookingNotCancellable),
    dependencies=MANAGERS,
)
async def delete_booking(request: Request, booking_id: BookingId) -> Response:
    """Hides a canceled booking."""
    await bookings.delete(resources(request).database, booking_id)
    return ok()
