"""What concert-service asks of order-service."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import TypeAdapter
from pydantic_core import to_json

from common.clients import ServiceClient
from common.wire import Envelope, WireModel

_TAKEN_SEATS = TypeAdapter(Envelope[list[str]])


class ActiveBookings(WireModel):
    """The bookings of one schedule that hold a seat: how many, and the last row and column among them."""

    schedule_id: int
    count: int
    max_row: int
    max_col: int


_ACTIVE_BOOKINGS = TypeAdapter(list[ActiveBookings])


class Orders:
    """order-service, as concert-service sees it."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client

    async def taken_seats(self, schedule_id: int) -> list[str]:
        """The seats of a schedule that cannot be booked now, as ``"<row> <col>"``.

        Raises:
            ServiceUnavailable: order-service does not answer.
        """
        body = await self._client.get(f"/bookings/seats/{schedule_id}")
        return _TAKEN_SEATS.validate_json(body).data

    async def active_bookings(self, schedule_ids: Sequence[int]) -> list[ActiveBookings]:
        """Those of the schedules that have active bookings.

        A booking may still be made right after the answer: order-service remembers a schedule for up to a second, so
        that a change is only as safe as its last second is quiet.

        Raises:
            ServiceUnavailable: order-service does not answer.
        """
        if not schedule_ids:
            return []
        return _ACTIVE_BOOKINGS.validate_json(await self._client.post("/bookings/active", to_json(schedule_ids)))
