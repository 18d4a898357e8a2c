"""Payments: made for pending bookings, read, and hidden. ``confirmation`` takes the money, ``cancellation`` returns it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import case, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Database
from common.errors import BookingNotCancellable, BookingNotFound, InvalidInput, NotAuthorized, PaymentNotFound
from common.identity import require_self_or_manager, require_user
from common.wire import JSONBytes
from order.idempotency import RequestKey, once
from order.models import Booking, BookingStatus, Payment, PaymentStatus
from order.resources import Resources
from order.schemas import CreatedPaymentView, PaymentDetailView, PaymentRequest


async def create(resources: Resources, request: PaymentRequest, key: RequestKey | None) -> JSONBytes:
    """Makes a payment for bookings of one show. The answer's data is a CreatedPaymentView.

    Asked again for the same bookings, it is the same payment.

    Raises:
        NotAuthorized: for somebody else, or a booking is somebody else's.
        BookingNotFound: there is no such booking.
        InvalidInput: a booking is named twice, is not PENDING, is of another show, or is being paid for together with
            others already.
    """
    if request.user_id != require_user().user_id:
        raise NotAuthorized
    return await once(resources.database.in_transaction, key, partial(_create, request))


async def _create(request: PaymentRequest, session: AsyncSession) -> CreatedPaymentView:
    if len(set(request.booking_ids)) < len(request.booking_ids):
        raise InvalidInput.of("bookingIds", "a booking is named twice")
    bookings = await _lock_payable(session, request)
    payment = await _waiting_payment(session, bookings)
    if payment is None:
        first = bookings[0]
        payment = Payment(
            user_id=request.user_id,
            concert_id=first.concert_id,
            schedule_id=first.schedule_id,
            total_price=sum(booking.price for booking in bookings),
            status=PaymentStatus.WAITING,
        )
        session.add(payment)
        await session.flush()
        for booking in bookings:
            booking.payment_id = payment.id
    return CreatedPaymentView(
        payment_id=payment.id,
        user_id=payment.user_id,
        concert_id=payment.concert_id,
        total_price=payment.total_price,
    )


async def _lock_payable(session: AsyncSession, request: PaymentRequest) -> Sequence[Booking]:
    wanted = select(Booking).where(Booking.id.in_(request.booking_ids), ~Booking.is_deleted).order_by(Booking.id)
    bookings = (await session.scalars(wanted.with_for_update())).all()
    if len(bookings) < len(request.booking_ids):
        raise BookingNotFound
    if any(booking.user_id != request.user_id for booking in bookings):
        raise NotAuthorized
    if any(booking.status != BookingStatus.PENDING for booking in bookings):
        raise InvalidInput.of("bookingIds", "a booking is not pending (any more)")
    if len({booking.schedule_id for booking in bookings}) > 1:
        raise InvalidInput.of("bookingIds", "bookings of several shows are paid for one by one")
    return bookings
