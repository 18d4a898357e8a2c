"""Keeps a seat from being sold twice: work at SERIALIZABLE, done again when PostgreSQL finds it in conflict.

The index over the seats is not unique. That no two bookings hold one seat is due to the isolation level alone: of two
transactions that both saw the seat free, and both took it, PostgreSQL lets at most one commit (serializable snapshot
isolation; Ports and Grittner, VLDB 2012). The other gets an error and must look again. It notes what was read by index
page, or as the whole table after a sequential scan, so that buyers of different seats may be in each other's way too:
hence the retries, and hence, in a crowd, requests that are given up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from prometheus_client import Counter

from common.database import CONFLICTS, Database
from common.errors import ServiceUnavailable
from common.statements import Transaction

T = TypeVar("T")

RETRIES = Counter("order_serialization_retries", "Bookings that were in conflict and tried again.")
GIVEN_UP = Counter("order_serialization_given_up", "Bookings that were in conflict too often: answered 503.")

# PostgreSQL would rather read all of a small table than look into its index, and a serializable transaction that has
# done so is in conflict with all others that write there: a third of a crowd was given up, each of another seat. Every
# query of the service has an index, so that it can do without.
SESSION_PARAMETERS = {"enable_seqscan": "off"}

ATTEMPTS = 6
# Full jitter (AWS Architecture Blog, "Exponential backoff and jitter"): from nothing up to twice as long each time.
FIRST_PAUSE_SECONDS = 0.010
LONGEST_PAUSE_SECONDS = 0.200


async def guarded(database: Database, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """What ``work`` returns once it has been committed; it may be done several times, so it changes nothing else.

    Raises:
        ServiceUnavailable: it was in conflict every time, or the database is unavailable.
    """
    for attempt in range(ATTEMPTS):
        if attempt:
            RETRIES.inc()
            # Without a connection in hand: those who can commit need it more.
            await asyncio.sleep(random.uniform(0, pause_before(attempt)))
        try:
            async with database.transaction("SERIALIZABLE") as transaction:
                return await work(transaction)
        except CONFLICTS:  # PostgreSQL undid it only because of others at the same time
            continue
    GIVEN_UP.inc()
    raise ServiceUnavailable(f"in conflict with other bookings {ATTEMPTS} times")


def pause_before(attempt: int) -> float:
    """The longest pause before an attempt, in seconds; the first attempt is number 0."""
    return min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** (attempt - 1))
