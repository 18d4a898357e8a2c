"""What concert-service asks of order-service."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import TypeVar

from pydantic import TypeAdapter
from pydantic_core import to_json

from common.clients import ServiceClient, understood
from common.errors import NotFound, ServiceUnavailable
from common.wire import Envelope, WireModel

T = TypeVar("T")

# The one call that is made while rows are locked and a database connection is held.
LOCKED_SECONDS = 2.0

_TAKEN_SEATS = TypeAdapter(Envelope[list[str]])


class ActiveBookings(WireModel):
    """The bookings of one schedule that hold a seat: how many, and the last row and column among them."""

    schedule_id: int
    count: int
    max_row: int
    max_col: int


_ACTIVE_BOOKINGS = TypeAdapter(list[ActiveBookings])


class Orders:
    """order-service, as concert-service sees it: what it does not answer sensibly is ServiceUnavailable."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def taken_seats(self, schedule_id: int) -> list[str]:
        """The seats of a schedule that cannot be booked now, as ``"<row> <col>"``.

        Raises:
            ServiceUnavailable: order-service does not answer.
        """
        return (await _answer(_TAKEN_SEATS, self._client.get(f"/bookings/seats/{schedule_id}"))).data

    async def active_bookings(self, schedule_ids: Sequence[int]) -> list[ActiveBookings]:
        """Those of the schedules that have active bookings.

        A booking may still be made right after the answer: order-service remembers a schedule for up to a second, so
        that a change is only as safe as its last second is quiet.

        Raises:
            ServiceUnavailable: order-service does not answer within two seconds: its caller holds locks meanwhile.
        """
        if not schedule_ids:
            return []
        call = self._client.post("/bookings/active", to_json(schedule_ids), timeout_seconds=LOCKED_SECONDS)
        return await _answer(_ACTIVE_BOOKINGS, call)


async def _answer(shape: TypeAdapter[T], call: Awaitable[bytes]) -> T:
    try:
        return understood(shape, await call)
    except NotFound as unknown:  # it has these calls, whatever the schedule: somebody else has answered
        raise ServiceUnavailable(str(unknown)) from unknown
