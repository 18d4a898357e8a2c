"""Two instances that sell the seats of one show, and what the tests see of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from sqlalchemy import TextClause, text

from common.database import Database
from common.statements import Row, Transaction
from order import bookings
from order.schemas import BookedView
from order.seat_lock import SeatLock, session_parameters
from order.seats import Seat
from order.settings import OrderSettings
from tests.unit.stages.order.test_order_booking_plan import show

SHORT = {"lease_seconds": 4.0, "seat_wait_seconds": 10.0, "lock_seconds": 5.0}
"""A busy machine must not look like a dead server."""

Step = Callable[[Transaction], Awaitable[None]]


class Instance:
    """One instance's lock and pool."""

    def __init__(self, settings: OrderSettings) -> None:
        self.database = Database(settings, session_parameters=session_parameters(settings))
        self.lock = SeatLock(self.database, settings)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        await self.lock.open()
        try:
            yield
        finally:
            await self.lock.close()
            await self.database.close()

    async def run(self, statement: TextClause, **values: Any) -> Sequence[Row]:
        return await self.database.rows(statement, **values)


@dataclass
class Ground:
    """The show, its sellers, and the lock server past them."""

    schedule_id: int
    instances: tuple[Instance, Instance]
    redis: Redis
    prefix: str
    tried: list[Sequence[Seat]] = field(default_factory=list)
    """What has come as far as a transaction."""

    def key(self, seat: Seat) -> str:
        return f"{self.prefix}{self.schedule_id}:{seat.row}:{seat.column}"

    async def book(self, instance: int, *seats: Seat, then: Step | None = None, user_id: int = 1) -> list[BookedView]:
        """Books seats at one of the instances; does ``then`` before the COMMIT."""

        async def work(transaction: Transaction) -> list[BookedView]:
            self.tried.append(seats)
            booked = await bookings._book(transaction, show(self.schedule_id), user_id, list(seats), 300.0)
            if then is not None:
                await then(transaction)
            return booked

        return await self.instances[instance].lock.guarded(self.schedule_id, seats, work)

    async def sold(self) -> list[tuple[Seat, int]]:
        """The seats that are booked, as often as they are, and for whom."""
        query = text("SELECT seat_row, seat_column, user_id FROM bookings WHERE schedule_id = :id ORDER BY 1, 2")
        rows = await self.instances[0].run(query, id=self.schedule_id)
        return [(Seat(row, column), user_id) for row, column, user_id in rows]

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 15.0) -> None:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110  (what it looks at is elsewhere)
                await asyncio.sleep(0.005)

    async def is_free(self, seat: Seat) -> bool:
        """Whether nobody holds the seat's lock."""
        return not await self.redis.exists(self.key(seat))


def outcomes(results: Sequence[object]) -> dict[str, int]:
    """How often each kind of exception, or ``sold``."""
    names = [type(result).__name__ if isinstance(result, BaseException) else "sold" for result in results]
    return {name: names.count(name) for name in sorted(set(names))}
