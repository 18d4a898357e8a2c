"""Schedules: the evenings of a concert, and which seats are left for each."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import ScheduleNotFound, VenueNotFound
from common.statements import Row, Rows
from concert.concerts import lock_own, refuse_outside
from concert.models import Concert, Schedule, Venue
from concert.resources import Resources
from concert.schemas import (
    ScheduleDetailView,
    SchedulePatch,
    ScheduleRequest,
    ScheduleView,
    SeatGrid,
    SeatLookupView,
)
from concert.stranding import refuse_if_booked, refuse_if_seats_vanish

_IN_VENUE = (
    select(
        Schedule.id,
        Schedule.concert_id,
        Schedule.concert_date,
        Schedule.concert_time,
        Venue.row_count.label("row"),
        Venue.column_count.label("col"),
    )
    .join(Venue, Venue.id == Schedule.venue_id)
    .where(Schedule.id == bindparam("schedule_id"), ~Schedule.is_deleted)
)

_DETAIL = _IN_VENUE.join(Concert, Concert.id == Schedule.concert_id).add_columns(
    Concert.name.label("concert_name"),
    Concert.run_time.label("runtime"),
    Concert.price,
    Concert.user_id.label("seller_id"),
    Venue.name.label("stage_name"),
    Venue.location,
)


async def seats(resources: Resources, schedule_id: int) -> SeatLookupView:
    """A schedule, its venue's size, and the seats that can not be booked now.

    Raises:
        ScheduleNotFound: there is no such schedule.
        ServiceUnavailable: order-service does not answer.
    """
    # Neither question needs the other's answer. One of them is asked in a task of its own; two would cost more.
    asking = asyncio.create_task(resources.orders.taken_seats(schedule_id))
    try:
        schedule = await _row(resources, _IN_VENUE, schedule_id)
    except BaseException:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        raise
    taken = await asking
    return SeatLookupView(
        id=schedule.id,
        concert_id=schedule.concert_id,
        stage=SeatGrid(row=schedule.row, col=schedule.col),
        seat_list=taken,
        concert_date=schedule.concert_date,
        concert_time=schedule.concert_time,
    )


async def detail(resources: Resources, schedule_id: int) -> ScheduleDetailView:
    """A schedule with its concert and venue.

    Raises:
        ScheduleNotFound: there is no such schedule.
    """
    return ScheduleDetailView.model_validate(dict(await _row(resources, _DETAIL, schedule_id)))


async def create(resources: Resources, request: ScheduleRequest) -> ScheduleView:
    """A new evening of a concert.

    Raises:
        ConcertNotFound, NotThisSellersConcert: as ``concerts.lock_own``.
        VenueNotFound: there is no such venue.
        ScheduleBeforeConcert, ScheduleAfterConcert: the date is no day of the concert.
    """
    async with resources.writing() as session:
        concert = await lock_own(session, request.concert_id)
        await _lock_venue(session, request.venue_id)
        refuse_outside(concert, request.concert_date)
        schedule = Schedule(**request.model_dump())
        session.add(schedule)
    return _view(schedule)


async def change(resources: Resources, schedule_id: int, patch: SchedulePatch) -> ScheduleView:
    """Changes what ``patch`` names.

    Raises:
        ScheduleNotFound, NotThisSellersConcert: as ``_lock_own_concert``.
        VenueNotFound: the new venue does not exist.
        ScheduleBeforeConcert, ScheduleAfterConcert: the new date is no day of the concert.
        WouldStrandBookings: a booked seat does not exist in the new venue.
        ServiceUnavailable: order-service cannot say whether one is.
    """
    changes = patch.changes()
    async with resources.writing() as session:
        concert = await _lock_own_concert(session, schedule_id)
        venue = await _lock_venue(session, patch.venue_id) if "venue_id" in changes else None
        schedule = await _lock(session, schedule_id)
        if venue is not None and venue.id != schedule.venue_id:
            await refuse_if_seats_vanish(resources, [schedule_id], venue)
        for field, value in changes.items():
            setattr(schedule, field, value)
        refuse_outside(concert, schedule.concert_date)
    return _view(schedule)


async def delete(resources: Resources, schedule_id: int) -> None:
    """Takes a schedule down.

    Raises:
        ScheduleNotFound, NotThisSellersConcert: as ``_lock_own_concert``.
        WouldStrandBookings: it has active bookings.
        ServiceUnavailable: order-service cannot say whether it has.
    """
    async with resources.writing() as session:
        await _lock_own_concert(session, schedule_id)
        schedule = await _lock(session, schedule_id)
        await refuse_if_booked(resources, [schedule_id])
        schedule.soft_delete(datetime.now(UTC))


async def _row(resources: Resources, statement: Rows, schedule_id: int) -> Row:
    found = await resources.database.row(statement, schedule_id=schedule_id)
    if found is None:
        raise ScheduleNotFound
    return found


# Rows are locked in one order everywhere (concert, venue, schedules), so that no two changes wait for each other.


async def _lock_own_concert(session: AsyncSession, schedule_id: int) -> Concert:
    """The schedule's concert, kept from changing until the transaction ends.

    Raises:
        ScheduleNotFound: there is no such schedule.
        NotThisSellersConcert: who asks is neither the concert's seller nor a manager.
    """
    living = select(Schedule.concert_id).where(Schedule.id == schedule_id, ~Schedule.is_deleted)
    concert_id = await session.scalar(living)
    if concert_id is None:
        raise ScheduleNotFound
    return await lock_own(session, concert_id)


async def _lock(session: AsyncSession, schedule_id: int) -> Schedule:
    living = select(Schedule).where(Schedule.id == schedule_id, ~Schedule.is_deleted)
    schedule: Schedule | None = await session.scalar(living.with_for_update())
    if schedule is None:
        raise ScheduleNotFound
    return schedule


async def _lock_venue(session: AsyncSession, venue_id: int) -> Venue:
    """The venue, kept from being changed or deleted until the transaction ends."""
    living = select(Venue).where(Venue.id == venue_id, ~Venue.is_deleted)
    venue: Venue | None = await session.scalar(living.with_for_update(read=True))
    if venue is None:
        raise VenueNotFound
    return venue


def _view(schedule: Schedule) -> ScheduleView:
    return ScheduleView(
        id=schedule.id,
        concert_id=schedule.concert_id,
        stage_id=schedule.venue_id,
        concert_date=schedule.concert_date,
        concert_time=schedule.concert_time,
    )
