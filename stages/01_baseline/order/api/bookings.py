"""Bookings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
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
from common.identity import Role
from common.openapi import allow, documented
from common.wire import Envelope, Id, Nothing, ok
from order import bookings
from order.idempotency import KeyHeader, request_key
from order.resources import resources
from order.schemas import BookedView, BookingDetailView, BookingRequest

router = APIRouter(prefix="/bookings", tags=["bookings"])

BookingId = Annotated[Id, Path(alias="bookingId")]
MANAGERS = [allow(Role.MANAGER)]


@router.post(
    "",
    response_model=Envelope[list[BookedView]],
    responses=documented(InvalidSeat, SameSeatTwice, ScheduleNotFound, SeatAlreadyBooked, IdempotencyKeyReused),
)
async def create_bookings(request: Request, body: BookingRequest, key: KeyHeader = None) -> Response:
    """Holds seats of one show for who asks, all of them or none."""
    return await bookings.create(resources(request), body, request_key(request, key, body))


@router.get("/{bookingId}", response_model=Envelope[BookingDetailView], responses=documented(BookingNotFound))
async def get_booking(request: Request, booking_id: BookingId) -> Response:
    """One booking with its show."""
    return ok(await bookings.one(resources(request), booking_id))


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
