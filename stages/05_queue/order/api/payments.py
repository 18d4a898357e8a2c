"""Payments."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from common.errors import (
    BookingNotCancellable,
    BookingNotFound,
    IdempotencyKeyReused,
    PaymentFailed,
    PaymentNotFound,
)
from common.identity import Role, require_self_or_manager
from common.openapi import allow, documented
from common.paging import Page, Paging
from common.wire import Envelope, Id, Nothing, Text, ok
from order import cancellation, confirmation, listings, payments
from order.idempotency import KeyHeader, request_key
from order.listings import Wanted
from order.resources import resources
from order.schemas import CompletionRequest, CreatedPaymentView, PaymentDetailView, PaymentRequest, PaymentView

router = APIRouter(prefix="/payments", tags=["payments"])

PaymentId = Annotated[Id, Path(alias="paymentId")]
SellerId = Annotated[Id, Path(alias="sellerId")]
UserId = Annotated[Id, Path(alias="userId")]
Nickname = Annotated[Text, Query()]
MANAGERS = [allow(Role.MANAGER)]
SELLERS = [allow(Role.SELLER, Role.MANAGER)]


@router.post(
    "", response_model=Envelope[CreatedPaymentView], responses=documented(BookingNotFound, IdempotencyKeyReused)
)
async def create_payment(request: Request, body: PaymentRequest, key: KeyHeader = None) -> Response:
    """A payment for pending bookings of one show; the same one, if it is asked for again."""
    return await payments.create(resources(request), body, request_key(request, key, body))


@router.patch(
    "/complete",
    response_model=Envelope[Nothing],
    responses=documented(PaymentNotFound, PaymentFailed, IdempotencyKeyReused),
)
async def complete_payment(request: Request, body: CompletionRequest, key: KeyHeader = None) -> Response:
    """Has the provider take the money that the buyer agreed to pay, and confirms the bookings."""
    return await confirmation.complete(resources(request), body, request_key(request, key, body))


@router.get("", response_model=Envelope[Page[PaymentView]], responses=documented(), dependencies=MANAGERS)
async def list_payments(request: Request, paging: Paging, nickname: Nickname = "") -> Response:
    """All payments, or those of people whose nickname contains a word."""
    return ok(await listings.payments(resources(request), Wanted(nickname=nickname), paging))


@router.get(
    "/seller/{sellerId}", response_model=Envelope[Page[PaymentView]], responses=documented(), dependencies=SELLERS
)
async def list_payments_of_seller(
    request: Request, seller_id: SellerId, paging: Paging, nickname: Nickname = ""
) -> Response:
    """The same, of one seller's concerts."""
    require_self_or_manager(seller_id)
    return ok(await listings.payments(resources(request), Wanted(seller_id=seller_id, nickname=nickname), paging))


@router.get("/me/{userId}", response_model=Envelope[Page[PaymentView]], responses=documented())
async def list_own_payments(request: Request, user_id: UserId, paging: Paging) -> Response:
    """All payments of one person."""
    require_self_or_manager(user_id)
    return ok(await listings.payments(resources(request), Wanted(user_id=user_id), paging))


@router.get("/{paymentId}", response_model=Envelope[PaymentDetailView], responses=documented(PaymentNotFound))
async def get_payment(request: Request, payment_id: PaymentId) -> Response:
    """One payment: what for, and by whom."""
    return ok(await payments.one(resources(request), payment_id))


@router.patch(
    "/{paymentId}",
    response_model=Envelope[Nothing],
    responses=documented(PaymentNotFound, BookingNotCancellable, IdempotencyKeyReused),
)
async def cancel_payment(request: Request, payment_id: PaymentId, key: KeyHeader = None) -> Response:
    """Gives all seats of a payment back, and their price to who has paid it."""
    return await cancellation.cancel_payment(resources(request), payment_id, request_key(request, key))


@router.delete(
    "/{paymentId}",
    response_model=Envelope[Nothing],
    responses=documented(PaymentNotFound, BookingNotCancellable, IdempotencyKeyReused),
    dependencies=MANAGERS,
)
async def delete_payment(request: Request, payment_id: PaymentId, key: KeyHeader = None) -> Response:
    """Hides a canceled payment."""
    return await payments.delete(resources(request).database, payment_id, request_key(request, key))
