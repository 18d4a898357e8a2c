"""Changes that must not strand bookings: nobody may hold a seat in a show, a row or a hall that is gone.

order-service is asked inside of the transaction, with the rows locked, so that no schedule is added meanwhile. What
remains is its memory: for up to a second it may still sell seats by the schedule that it last saw (wire contract).
Shows that are over count too: their bookings are what people find in their history, and its details are read here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from common.errors import WouldStrandBookings
from concert.models import Concert, Schedule, Venue
from concert.resources import Resources


async def delete_with_schedules(
    resources: Resources, session: AsyncSession, owner: Concert | Venue, theirs: ColumnElement[bool]
) -> None:
    """Deletes a concert or a venue, and with it the schedules (those that fulfil ``theirs``) that need it.

    Raises:
        WouldStrandBookings: one of the schedules has active bookings.
        ServiceUnavailable: order-service cannot say whether one has.
    """
    living = select(Schedule).where(theirs, ~Schedule.is_deleted).order_by(Schedule.id)
    schedules = (await session.scalars(living.with_for_update())).all()
    await refuse_if_booked(resources, [schedule.id for schedule in schedules])
    now = datetime.now(UTC)
    for row in (owner, *schedules):
        row.soft_delete(now)


async def refuse_if_booked(resources: Resources, schedule_ids: Sequence[int]) -> None:
    """
    Raises:
        WouldStrandBookings: one of the schedules has active bookings.
        ServiceUnavailable: order-service cannot say whether one has.
    """
    if await resources.orders.active_bookings(schedule_ids):
        raise WouldStrandBookings


async def refuse_if_seats_vanish(resources: Resources, schedule_ids: Sequence[int], venue: Venue) -> None:
    """
    Raises:
        WouldStrandBookings: a seat that is booked in one of the schedules does not exist in ``venue``.
        ServiceUnavailable: order-service cannot say whether one is.
    """
    for booked in await resources.orders.active_bookings(schedule_ids):
        if booked.max_row > venue.row_count or booked.max_col > venue.column_count:
            raise WouldStrandBookings
