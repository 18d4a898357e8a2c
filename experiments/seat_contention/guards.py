"""The guards, as the stages have them: each needs its stage on the path, and a database that the stage has migrated."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, time
from importlib import import_module
from typing import Any

from common.database import Database
from common.statements import Transaction
from order import bookings
from order.schedules import ScheduleDetail
from order.seats import Seat
from order.settings import load_settings

Book = Callable[[int, Seat, int], Awaitable[Any]]
"""Books a seat of a show for a user, or raises the contract's error."""


@asynccontextmanager
async def opened(name: str) -> AsyncIterator[Book]:
    """The guard of that name, with a full pool of connections; settings come from the environment."""
    # A package called order is in every stage, and which one is on the path is not known before.
    settings, lock = load_settings(), None
    is_lock = name.startswith("lock")
    parameters: dict[str, str] = {}
    if name == "serializable":
        guarded = import_module("order.seat_guard").guarded
        parameters = import_module("order.seat_guard").SESSION_PARAMETERS
    elif is_lock:
        parameters = import_module("order.seat_lock").session_parameters(settings)
    else:
        parameters = {"enable_seqscan": "off"}
    database = Database(settings, session_parameters=parameters)

    async def book(schedule_id: int, seat: Seat, user_id: int) -> Any:
        async def work(transaction: Transaction) -> Any:
            return await bookings._book(transaction, _show(schedule_id), user_id, [seat], settings.hold_seconds)

        if lock is not None:
            return await lock.guarded(schedule_id, [seat], work)
        if name == "serializable":
            return await guarded(database, work)
        async with database.transaction() as transaction:
            return await work(transaction)

    try:
        await database.check()
        if is_lock:
            lock = import_module("order.seat_lock").SeatLock(database, settings)
            await lock.open()
        yield book
    finally:
        if lock is not None:
            await lock.close()
        await database.close()


def _show(schedule_id: int) -> ScheduleDetail:
    return ScheduleDetail(
        id=schedule_id, concert_id=1, concert_name="Spring", runtime=120, price=10, seller_id=2, stage_name="Hall",
        location="Seoul", row=9_999, col=9_999, concert_date=date(2031, 3, 5), concert_time=time(19, 30),
    )  # fmt: skip
