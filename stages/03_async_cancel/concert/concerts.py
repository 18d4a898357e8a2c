"""Concerts: put on by sellers, listed, searched, changed and taken down."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import (
    ConcertNotFound,
    InvalidInput,
    NotThisSellersConcert,
    ScheduleAfterConcert,
    ScheduleBeforeConcert,
)
from common.fields import Fields
from common.identity import require_user
from common.paging import Page, PageQuery, PageRequest
from concert.models import Concert, Schedule
from concert.resources import Resources
from concert.schemas import ConcertDetailView, ConcertPatch, ConcertRequest, ConcertScheduleView, ConcertView
from concert.stranding import delete_with_schedules, refuse_if_booked

_FIELDS = Fields(
    ConcertView,
    id=Concert.id,
    user_id=Concert.user_id,
    concert_name=Concert.name,
    runtime=Concert.run_time,
    start_date=Concert.start_date,
    end_date=Concert.end_date,
    price=Concert.price,
    concert_image=Concert.image,
)
_LIVING = _FIELDS.select().where(~Concert.is_deleted)
_PAGES = PageQuery(ConcertView, _LIVING, sortable=_FIELDS.sortable(without="concert_image"), tie_breaker=Concert.id)

_BY_ID = _LIVING.where(Concert.id == bindparam("concert_id"))
_BY_IDS = _LIVING.where(Concert.id == any_(bindparam("ids", type_=ARRAY(BigInteger)))).order_by(Concert.id)
_BY_SELLER = _LIVING.where(Concert.user_id == bindparam("seller_id")).order_by(Concert.id)

_SCHEDULES = (
    select(Schedule.id, Schedule.venue_id.label("stage_id"), Schedule.concert_date, Schedule.concert_time)
    .where(Schedule.concert_id == bindparam("concert_id"), ~Schedule.is_deleted)
    .order_by(Schedule.concert_date, Schedule.concert_time, Schedule.id)
)


async def page(resources: Resources, request: PageRequest) -> Page[ConcertView]:
    """One page of all concerts.

    Raises:
        InvalidInput: an ordering by an unknown field.
    """
    return await _PAGES.page(resources.database, request)


async def one(resources: Resources, concert_id: int) -> ConcertView:
    """
    Raises:
        ConcertNotFound: there is no such concert.
    """
    found = await resources.database.views(ConcertView, _BY_ID, concert_id=concert_id)
    if not found:
        raise ConcertNotFound
    return found[0]


async def detail(resources: Resources, concert_id: int) -> ConcertDetailView:
    """A concert with its schedules, the earliest first.

    Raises:
        ConcertNotFound: there is no such concert.
    """
    concert = await resources.database.row(_BY_ID, concert_id=concert_id)
    if concert is None:
        raise ConcertNotFound
    schedules = await resources.database.views(ConcertScheduleView, _SCHEDULES, concert_id=concert_id)
    return ConcertDetailView.model_validate({**dict(concert), "schedules": schedules})


async def with_ids(resources: Resources, ids: Sequence[int]) -> list[ConcertView]:
    """Those of the concerts that exist, by id."""
    return await resources.database.views(ConcertView, _BY_IDS, ids=ids)


async def of_seller(resources: Resources, seller_id: int) -> list[ConcertView]:
    """What a seller puts on."""
    return await resources.database.views(ConcertView, _BY_SELLER, seller_id=seller_id)


async def named(resources: Resources, word: str, seller_id: int | None = None) -> list[ConcertView]:
    """The concerts whose name contains ``word``, ignoring case; of one seller, if given."""
    concerts = _LIVING if seller_id is None else _LIVING.where(Concert.user_id == seller_id)
    matching = concerts.where(Concert.name.icontains(word, autoescape=True)).order_by(Concert.id)
    return await resources.database.views(ConcertView, matching)


async def create(resources: Resources, request: ConcertRequest) -> ConcertView:
    """A new concert of who asks."""
    concert = Concert(user_id=require_user().user_id, **request.model_dump())
    async with resources.writing() as session:
        session.add(concert)
    return _FIELDS.view(concert)


async def change(resources: Resources, concert_id: int, patch: ConcertPatch) -> ConcertView:
    """Changes what ``patch`` names.

    Raises:
        ConcertNotFound, NotThisSellersConcert: as ``lock_own``.
        InvalidInput: the concert would end before it starts.
        WouldStrandBookings, ScheduleBeforeConcert, ScheduleAfterConcert, ServiceUnavailable: as
            ``_keep_schedules_inside``.
    """
    async with resources.writing() as session:
        concert = await lock_own(session, concert_id)
        for field, value in patch.changes().items():
            setattr(concert, field, value)
        if concert.end_date < concert.start_date:
            raise InvalidInput.of("endDate", "must not be before startDate")
        await _keep_schedules_inside(resources, session, concert)
    return _FIELDS.view(concert)


async def delete(resources: Resources, concert_id: int) -> None:
    """Takes a concert down, and its schedules with it.

    Raises:
        ConcertNotFound, NotThisSellersConcert: as ``lock_own``.
        WouldStrandBookings, ServiceUnavailable: as ``stranding.delete_with_schedules``.
    """
    async with resources.writing() as session:
        concert = await lock_own(session, concert_id)
        await delete_with_schedules(resources, session, concert, Schedule.concert_id == concert_id)


async def lock_own(session: AsyncSession, concert_id: int) -> Concert:
    """The concert, kept from changing until the transaction ends.

    Raises:
        ConcertNotFound: there is no such concert.
        NotThisSellersConcert: who asks is neither its seller nor a manager.
    """
    living = select(Concert).where(Concert.id == concert_id, ~Concert.is_deleted)
    concert: Concert | None = await session.scalar(living.with_for_update())
    if concert is None:
        raise ConcertNotFound
    user = require_user()
    if concert.user_id != user.user_id and not user.is_manager:
        raise NotThisSellersConcert
    return concert


def refuse_outside(concert: Concert, *dates: date) -> None:
    """
    Raises:
        ScheduleBeforeConcert, ScheduleAfterConcert: one of ``dates`` is no day of the concert.
    """
    for day in dates:
        if day < concert.start_date:
            raise ScheduleBeforeConcert
        if day > concert.end_date:
            raise ScheduleAfterConcert


async def _keep_schedules_inside(resources: Resources, session: AsyncSession, concert: Concert) -> None:
    """
    Raises:
        WouldStrandBookings: a schedule that has active bookings would lie outside of the concert.
        ScheduleBeforeConcert, ScheduleAfterConcert: another schedule would.
        ServiceUnavailable: order-service cannot say whether they have any.
    """
    inside = Schedule.concert_date.between(concert.start_date, concert.end_date)
    left_out = select(Schedule.id, Schedule.concert_date).where(
        Schedule.concert_id == concert.id, ~Schedule.is_deleted, ~inside
    )
    schedules = (await session.execute(left_out)).all()
    if schedules:
        await refuse_if_booked(resources, [schedule.id for schedule in schedules])
        refuse_outside(concert, *(schedule.concert_date for schedule in schedules))
