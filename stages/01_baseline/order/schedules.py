"""What concert-service says about a schedule: price, venue bounds, and when the show is.

An answer is remembered for a second at most, counted from when the question was asked. Whoever asks while somebody
else's question is under way waits for that answer.
"""

from __future__ import annotations

import asyncio
import time
from datetime import datetime, timedelta, timezone

from pydantic import TypeAdapter

from common.clients import ServiceClient, understood
from common.errors import NotFound, ScheduleNotFound
from common.wire import Date, Time, WireModel

REMEMBERED_SECONDS = 1.0
REMEMBERED_SCHEDULES = 10_000

# Dates and times of shows are Korea's, which has no daylight saving time.
KOREA = timezone(timedelta(hours=9), "KST")


class ScheduleDetail(WireModel):
    """A schedule with its concert and venue."""

    id: int
    concert_id: int
    concert_name: str
    runtime: int
    price: int
    seller_id: int
    stage_name: str
    location: str
    row: int
    col: int
    concert_date: Date
    concert_time: Time

    def is_over(self, now: datetime) -> bool:
        """Whether the show has ended: its run time (minutes) after its start is past."""
        start = datetime.combine(self.concert_date, self.concert_time, KOREA)
        return start + timedelta(minutes=self.runtime) <= now


_DETAIL = TypeAdapter(ScheduleDetail)


class Schedules:
    """concert-service's schedules, as order-service sees them."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        # In the order in which they were asked for: the oldest come first.
        self._remembered: dict[int, tuple[float, ScheduleDetail]] = {}
        self._under_way: dict[int, asyncio.Task[ScheduleDetail]] = {}

    async def detail(self, schedule_id: int) -> ScheduleDetail:
        """
        Raises:
            ScheduleNotFound: there is no such schedule.
            ServiceUnavailable: concert-service does not answer.
        """
        remembered = self._remembered.get(schedule_id)
        if remembered is not None and time.monotonic() - remembered[0] < REMEMBERED_SECONDS:
            return remembered[1]
        task = self._under_way.get(schedule_id)
        if task is None:
            # A task of its own: whoever asked first may hang up, and the others still get the answer.
            task = asyncio.create_task(self._ask(schedule_id))
            self._under_way[schedule_id] = task
        return await asyncio.shield(task)

    async def _ask(self, schedule_id: int) -> ScheduleDetail:
        asked = time.monotonic()
        try:
            body = await self._client.get(f"/schedules/{schedule_id}/detail")
        except NotFound as unknown:
            raise ScheduleNotFound from unknown
        finally:
            del self._under_way[schedule_id]
        detail = understood(_DETAIL, body)
        self._remembered.pop(schedule_id, None)
        while len(self._remembered) >= REMEMBERED_SCHEDULES:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[schedule_id] = (asked, detail)
        return detail
