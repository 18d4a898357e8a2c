"""Venues: managed by managers, read by all."""

from __future__ import annotations

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import VenueNotFound
from common.fields import Fields
from concert.models import Schedule, Venue
from concert.resources import Resources
from concert.schemas import VenuePatch, VenueRequest, VenueView
from concert.stranding import delete_with_schedules, refuse_if_seats_vanish

_FIELDS = Fields(
    VenueView,
    id=Venue.id,
    name=Venue.name,
    location=Venue.location,
    row=Venue.row_count,
    col=Venue.column_count,
)
_LIVING = _FIELDS.select().where(~Venue.is_deleted)
_ALL = _LIVING.order_by(Venue.id)
_BY_ID = _LIVING.where(Venue.id == bindparam("venue_id"))


async def everywhere(resources: Resources) -> list[VenueView]:
    """All venues."""
    return await resources.database.views(VenueView, _ALL)


async def one(resources: Resources, venue_id: int) -> VenueView:
    """
    Raises:
        VenueNotFound: there is no such venue.
    """
    found = await resources.database.views(VenueView, _BY_ID, venue_id=venue_id)
    if not found:
        raise VenueNotFound
    return found[0]


async def create(resources: Resources, request: VenueRequest) -> VenueView:
    """A new venue."""
    venue = Venue(**request.model_dump())
    async with resources.writing() as session:
        session.add(venue)
    return _FIELDS.view(venue)


async def change(resources: Resources, venue_id: int, patch: VenuePatch) -> VenueView:
    """Changes what ``patch`` names.

    Raises:
        VenueNotFound: there is no such venue.
        WouldStrandBookings: it would lose a row or a column in which a seat is booked.
        ServiceUnavailable: order-service cannot say whether one is.
    """
    async with resources.writing() as session:
        venue = await _lock(session, venue_id)
        rows, columns = venue.row_count, venue.column_count
        for field, value in patch.changes().items():
            setattr(venue, field, value)
        if venue.row_count < rows or venue.column_count < columns:
            schedule_ids = select(Schedule.id).where(Schedule.venue_id == venue_id, ~Schedule.is_deleted)
            await refuse_if_seats_vanish(resources, (await session.scalars(schedule_ids)).all(), venue)
    return _FIELDS.view(venue)


async def delete(resources: Resources, venue_id: int) -> None:
    """Takes a venue down, and with it the schedules there.

    Raises:
        VenueNotFound: there is no such venue.
        WouldStrandBookings, ServiceUnavailable: as ``stranding.delete_with_schedules``.
    """
    async with resources.writing() as session:
        venue = await _lock(session, venue_id)
        await delete_with_schedules(resources, session, venue, Schedule.venue_id == venue_id)


async def _lock(session: AsyncSession, venue_id: int) -> Venue:
    venue: Venue | None = await session.scalar(
        select(Venue).where(Venue.id == venue_id, ~Venue.is_deleted).with_for_update()
    )
    if venue is None:
        raise VenueNotFound
    return venue
