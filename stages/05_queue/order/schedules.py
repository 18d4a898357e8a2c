"""What concert-service says about a schedule: price, venue bounds, and when the show is.

An answer is good for a second, counted from when the question was asked: whoever asks within it gets that answer, at
once or when it comes.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class _Question:
    """``asked``: when, by the monotonic clock."""

    asked: float
    answer: asyncio.Task[ScheduleDetail]


class Schedules:
    """concert-service's schedules, as order-service sees them."""

    def __init__(self, client: ServiceClient) -> None:
        self._client = client
        # In the order in which they were asked: the oldest come first.
        self._questions: dict[int, _Question] = {}

    async def detail(self, schedule_id: int) -> ScheduleDetail:
        """What a schedule is, or was at most a second ago.

        Raises:
            ScheduleNotFound: there is no such schedule.
            ServiceUnavailable: concert-service does not answer.
        """
        now = time.monotonic()
        question = self._questions.get(schedule_id)
        if question is None or now - question.asked >= REMEMBERED_SECONDS:
            # A task of its own: whoever asked first may hang up, and the others still get the answer.
            question = _Question(now, asyncio.create_task(self._ask(schedule_id)))
            self._remember(schedule_id, question)
        return await asyncio.shield(question.answer)

    def _remember(self, schedule_id: int, question: _Question) -> None:
        self._questions.pop(schedule_id, None)
        while len(self._questions) >= REMEMBERED_SCHEDULES:
            del self._questions[next(iter(self._questions))]
        self._questions[schedule_id] = question

        def forget_a_failure(answer: asyncio.Task[ScheduleDetail]) -> None:
            failed = answer.cancelled() or answer.exception() is not None
            if failed and self._questions.get(schedule_id) is question:
                del self._questions[schedule_id]

        question.answer.add_done_callback(forget_a_failure)

    async def _ask(self, schedule_id: int) -> ScheduleDetail:
        try:
            body = await self._client.get(f"/schedules/{schedule_id}/detail")
        except NotFound as unknown:
            raise ScheduleNotFound from unknown
        return understood(_DETAIL, body)
