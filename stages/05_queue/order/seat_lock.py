"""Keeps a crowd that wants one seat away from the database: a lock for each seat, in Redis, shared by all instances.

The unique index ``uq_bookings_active_seat`` is the judge of who has a seat; the lock spares it the crowd. Of all
requests of one process for a seat one has its *turn*: it looks whether the seat is free, takes the lock, and books. The
others wait, and whatever it finds out about the seat, they know too.

A lock is a *lease*: it ends by itself if its holder dies, and is renewed while the holder lives. That a holder whose
lease is gone writes nothing needs no clocks that agree, only clocks that run at about the same rate:

- The holder counts its lease from before it asked for it, so that it ends here no later than at the server.
- It checks right before its COMMIT that more than ``MARGIN`` of the lease is left. It may be stopped behind that check
  for as long as anybody likes, but its transaction then has been idle since before the check, and PostgreSQL ends it
  after ``IDLE``, which is less: before anybody else can have the lock (idle_in_transaction_session_timeout).

What is left, such as a COMMIT that takes seconds by itself, or a lock server that has lost its data, the index finds.
So it does for everybody while the lock server is down. See docs/decisions/0009-seat-lock.md.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from prometheus_client import Counter, Histogram
from redis.exceptions import RedisError
from sqlalchemy import text

from common.database import Database
from common.errors import SeatAlreadyBooked, ServiceUnavailable
from common.statements import Transaction
from discovery.instances import end
from order.seats import Seat
from order.settings import OrderSettings

T = TypeVar("T")

logger = logging.getLogger(__name__)

WAITED = Histogram("order_seat_lock_wait_seconds", "From wanting free seats to having their locks.")
TIMEOUTS = Counter("order_seat_lock_timeouts", "Bookings that waited too long for a seat: answered 503.")
LOST = Counter("order_seat_lock_lost", "Bookings that lost their lease and were undone: answered 503.")
WITHOUT = Counter("order_seat_lock_without", "Bookings made on the index alone, as the lock server was down.")

# Of a lease. The difference is for clocks that do not run at quite the same rate.
MARGIN, IDLE = 0.30, 0.25
RENEWED_AFTER = 1 / 3

# Before asking again for seats that another instance is at. Only one request of each instance does.
PAUSE_SECONDS = 0.020
# Then one request asks a lock server that did not answer once more, for all.
DOWN_SECONDS = 1.0

_TAKEN = text("""
    SELECT wanted.* FROM unnest(CAST(:rows AS integer[]), CAST(:columns AS integer[])) AS wanted (seat_row, seat_column)
    CROSS JOIN LATERAL (
        SELECT FROM bookings
        WHERE schedule_id = :schedule_id AND status <> 'CANCELED'
          AND seat_row = wanted.seat_row AND seat_column = wanted.seat_column
        LIMIT 1
    ) AS holder
""")

# One script runs at a time, so that a request gets all of its seats or none. ARGV: the token, the lease in ms.
_TAKE = """
if redis.call('EXISTS', unpack(KEYS)) > 0 then return 0 end
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
return 1
"""
# For 0 ms more: gives the seats back.
_KEEP = """
local kept = 1
for _, key in ipairs(KEYS) do
    if redis.call('GET', key) == ARGV[1] then redis.call('PEXPIRE', key, ARGV[2]) else kept = 0 end
end
return kept
"""


@dataclass(eq=False, slots=True)
class Claim:
    """A request for seats of one show, its lease, and what it finds out for those who wait for it.

    Attributes:
        began: when it was made; this and the other moments are as ``now`` has them.
        ends: when its lease does; without a lock it never ends.
        taken: of the seats, those that were taken at the moment ``seen_at``.
    """

    schedule_id: int
    seats: Sequence[Seat]
    keys: Sequence[str]
    began: float
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    ends: float = float("inf")
    taken: Set[Seat] = frozenset()
    seen_at: float = 0.0

    def check(self, margin_seconds: float) -> None:
        """Raises ServiceUnavailable unless more than the margin is left of the lease."""
        if now() >= self.ends - margin_seconds:
            LOST.inc()
            raise ServiceUnavailable("the lease of the seats has come to its end")


def now() -> float:
    """Seconds by a clock that nobody sets, and that goes on while the machine is asleep, where there is one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def session_parameters(settings: OrderSettings) -> dict[str, str]:
    """What PostgreSQL is to do for the lock."""
    return {
        "idle_in_transaction_session_timeout": str(int(IDLE * settings.lease_seconds * 1000)),
        # A plan that was made for a small table, and is kept while it grows, would read all of it for one seat.
        "enable_seqscan": "off",
    }


class SeatLock:
    """The locks of one service instance."""

    def __init__(self, database: Database, settings: OrderSettings) -> None:
        self._database = database
        self._settings = settings
        self._redis = settings.redis(settings.lock_seconds)
        self._take, self._keep = map(self._redis.register_script, (_TAKE, _KEEP))
        self._down_until = 0.0
        self._turns: dict[str, asyncio.Future[Claim]] = {}
        self._held: set[Claim] = set()

    async def open(self) -> None:
        """Must run on the event loop that will use it. A lock server that is down is no reason not to start."""
        self._renewing = asyncio.create_task(self._keep_renewing())

    async def close(self) -> None:
        await end(self._renewing)
        await self._redis.aclose()

    async def guarded(self, schedule_id: int, seats: Iterable[Seat], work: Callable[[Transaction], Awaitable[T]]) -> T:
        """What ``work``, which books ``seats``, returns once it has been committed.

        Raises:
            SeatAlreadyBooked: one of them is taken.
            ServiceUnavailable: others were at them for too long, the lease was lost, or the database is unavailable.
        """
        ordered = sorted(seats)
        keys = [f"{self._settings.redis_prefix}seat:{schedule_id}:{seat.row}:{seat.column}" for seat in ordered]
        claim = Claim(schedule_id, ordered, keys, began=now())
        async with self._turn(claim):
            await self._require_free(claim)
            async with self._lease(claim):
                WAITED.observe(now() - claim.began)
                async with self._database.transaction() as transaction:
                    answer = await work(transaction)
                    claim.check(MARGIN * self._settings.lease_seconds)  # the COMMIT is next
            claim.taken, claim.seen_at = set(ordered), now()
            return answer

    @asynccontextmanager
    async def _turn(self, claim: Claim) -> AsyncIterator[None]:
        """Nobody else in this process is at one of the seats; who waits for one is told what has been found out."""
        while ahead := next((self._turns[key] for key in claim.keys if key in self._turns), None):
            # Not wait_for: all who wait share this future.
            await asyncio.wait((ahead,), timeout=self._left(claim))
            # What was seen before this request came may have changed before it came.
            if ahead.done() and ahead.result().seen_at >= claim.began and ahead.result().taken & set(claim.seats):
                raise SeatAlreadyBooked
        turn = asyncio.get_running_loop().create_future()
        self._turns.update(dict.fromkeys(claim.keys, turn))
        try:
            yield
        finally:
            for key in claim.keys:
                del self._turns[key]
            turn.set_result(claim)

    async def _require_free(self, claim: Claim) -> None:
        rows, columns = zip(*claim.seats, strict=True)
        claim.seen_at = now()
        found = await self._database.rows(_TAKEN, schedule_id=claim.schedule_id, rows=rows, columns=columns)
        claim.taken = {Seat(*row) for row in found}
        if claim.taken:
            raise SeatAlreadyBooked

    @asynccontextmanager
    async def _lease(self, claim: Claim) -> AsyncIterator[None]:
        """Nobody else anywhere is at the seats, as long as the lease lasts."""
        try:
            while (ends := await self._ask(self._take, claim, self._settings.lease_seconds)) == 0.0:
                await asyncio.sleep(min(PAUSE_SECONDS, self._left(claim)))
                await self._require_free(claim)
            if ends is None:
                WITHOUT.inc()
            else:
                claim.ends = ends
                self._held.add(claim)
            yield
        finally:
            self._held.discard(claim)
            # Also where it is not known to be held: an answer may have been lost, or its client have gone.
            await self._ask(self._keep, claim, 0.0)

    async def _ask(self, script: Any, claim: Claim, seconds: float) -> float | None:
        """When the lease ends that has been taken or renewed, 0 if it is somebody else's; None if nobody knows."""
        asked = now()
        if asked < self._down_until:
            return None
        if self._down_until:
            self._down_until = asked + DOWN_SECONDS  # the others do without meanwhile
        try:
            done = await script(claim.keys, [claim.token, int(seconds * 1000)])
        except (RedisError, OSError) as problem:
            logger.warning("lock server down: %s: %s", type(problem).__name__, problem)
            self._down_until = now() + DOWN_SECONDS
            return None
        self._down_until = 0.0
        return asked + seconds if done else 0.0

    async def _keep_renewing(self) -> None:
        while True:
            await asyncio.sleep(RENEWED_AFTER * self._settings.lease_seconds)
            for claim in list(self._held):
                if (
                    ends := await self._ask(self._keep, claim, self._settings.lease_seconds)
                ) is not None:  # else it ends when it ends
                    claim.ends = ends

    def _left(self, claim: Claim) -> float:
        """Seconds for which it may still wait; raises ServiceUnavailable if there are none."""
        if (seconds := claim.began + self._settings.seat_wait_seconds - now()) <= 0:
            TIMEOUTS.inc()
            raise ServiceUnavailable("others are at these seats")
        return seconds
