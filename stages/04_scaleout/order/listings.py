"""Lists of bookings and payments, page by page, with the concerts' names.

However long the page is: one call for each filter, one read, and one call for the names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select, true
from sqlalchemy.orm import InstrumentedAttribute

from common.paging import Page, PageQuery, PageRequest
from common.statements import Rows
from common.wire import WireModel
from order.concerts import Concert
from order.models import SOLD, Booking, Payment
from order.resources import Resources
from order.schemas import BookingRow, BookingView, PaymentRow, PaymentView
from order.seats import SEAT

W = TypeVar("W", bound=WireModel)
R = TypeVar("R", BookingRow, PaymentRow)

_BOOKINGS = select(
    Booking.id,
    Booking.concert_id,
    Booking.schedule_id,
    Booking.payment_id,
    Booking.user_id,
    Booking.price,
    Booking.status,
    SEAT,
)
_BOOKING_FIELDS = {
    "id": Booking.id,
    "concertId": Booking.concert_id,
    "scheduleId": Booking.schedule_id,
    "paymentId": Booking.payment_id,
    "userId": Booking.user_id,
    "price": Booking.price,
    "status": Booking.status,
    "createdAt": Booking.created_at,
}
_PAYMENTS = select(
    Payment.total_price, Payment.status, Payment.card, Payment.concert_id, Payment.schedule_id, Payment.user_id
).where(~Payment.is_deleted)
_PAYMENT_FIELDS = {
    "id": Payment.id,
    "totalPrice": Payment.total_price,
    "status": Payment.status,
    "concertId": Payment.concert_id,
    "scheduleId": Payment.schedule_id,
    "userId": Payment.user_id,
    "createdAt": Payment.created_at,
}


def _queries(
    view: type[W],
    rows: Rows,
    table: type[Booking] | type[Payment],
    sortable: Mapping[str, InstrumentedAttribute[Any]],
) -> dict[tuple[bool, bool], PageQuery[W]]:
    """A query for each way to narrow a list, by (users?, concerts?).

    One for all ways, with conditions that may or may not apply, would keep PostgreSQL from using its indexes.
    """
    of_users = table.user_id == any_(bindparam("user_ids", type_=ARRAY(BigInteger)))
    of_concerts = table.concert_id == any_(bindparam("concert_ids", type_=ARRAY(BigInteger)))
    return {
        (by_user, by_concert): PageQuery(
            view,
            rows.where(of_users if by_user else true(), of_concerts if by_concert else true()),
            sortable=sortable,
            tie_breaker=table.id,
        )
        for by_user in (False, True)
        for by_concert in (False, True)
    }


_SOLD_BOOKINGS = _queries(BookingRow, _BOOKINGS.where(SOLD), Booking, _BOOKING_FIELDS)
_OWN_BOOKINGS = _queries(BookingRow, _BOOKINGS.where(~Booking.is_deleted), Booking, _BOOKING_FIELDS)
_ALL_PAYMENTS = _queries(PaymentRow, _PAYMENTS, Payment, _PAYMENT_FIELDS)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed to; None: not by that."""

    user_id: int | None = None
    nickname: str | None = None
    seller_id: int | None = None
    concert_name: str | None = None


async def sold_bookings(resources: Resources, wanted: Wanted, request: PageRequest) -> Page[BookingView]:
    """Bookings that are or were paid for.

    Raises:
        InvalidInput: an ordering by an unknown field.
        ServiceUnavailable: concert-service or user-service does not answer.
    """
    return await _booking_views(resources, await _page(resources, _SOLD_BOOKINGS, wanted, request))


async def own_bookings(resources: Resources, user_id: int, request: PageRequest) -> Page[BookingView]:
    """A user's bookings, those that wait for their payment included; raises as ``sold_bookings`` does."""
    return await _booking_views(resources, await _page(resources, _OWN_BOOKINGS, Wanted(user_id=user_id), request))


async def payments(resources: Resources, wanted: Wanted, request: PageRequest) -> Page[PaymentView]:
    """Payments; raises as ``sold_bookings`` does."""
    page = await _page(resources, _ALL_PAYMENTS, wanted, request)
    concerts = await resources.concerts.with_ids(row.concert_id for row in page.content)
    content = [
        PaymentView(**row.model_dump(), concert_name=_name(concerts.get(row.concert_id))) for row in page.content
    ]
    return page.showing(PaymentView, content)


async def _booking_views(resources: Resources, page: Page[BookingRow]) -> Page[BookingView]:
    concerts = await resources.concerts.with_ids(row.concert_id for row in page.content)
    content = []
    for row in page.content:
        concert = concerts.get(row.concert_id)
        runtime = None if concert is None else concert.runtime
        content.append(BookingView(**row.model_dump(), concert_name=_name(concert), runtime=runtime))
    return page.showing(BookingView, content)


def _name(concert: Concert | None) -> str | None:
    return None if concert is None else concert.concert_name


async def _page(
    resources: Resources, queries: Mapping[tuple[bool, bool], PageQuery[R]], wanted: Wanted, request: PageRequest
) -> Page[R]:
    user_ids, concert_ids = await asyncio.gather(_users(resources, wanted), _concerts(resources, wanted))
    parameters = {"user_ids": user_ids, "concert_ids": concert_ids}
    query = queries[user_ids is not None, concert_ids is not None]
    return await query.page(
        resources.database, request, **{name: ids for name, ids in parameters.items() if ids is not None}
    )


async def _users(resources: Resources, wanted: Wanted) -> list[int] | None:
    if wanted.user_id is not None:
        return [wanted.user_id]
    return await resources.people.ids_with_nickname(wanted.nickname) if wanted.nickname else None


async def _concerts(resources: Resources, wanted: Wanted) -> list[int] | None:
    if wanted.seller_id is None and not wanted.concert_name:
        return None
    return await resources.concerts.ids_of(seller_id=wanted.seller_id, word=wanted.concert_name or None)
