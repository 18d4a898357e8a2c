"""The lock server's scripts, and what happens while the server does not answer."""

from __future__ import annotations

import asyncio
import time

from order.seat_lock import Claim, now
from order.seats import Seat
from tests.unit.stages.order.seat_locks.conftest import InGround
from tests.unit.stages.order.seat_locks.ground import Ground

FRONT, MIDDLE, BACK = Seat(1, 1), Seat(5, 5), Seat(9, 9)


def claim(ground: Ground, token: str, *seats: Seat) -> Claim:
    return Claim(ground.schedule_id, seats, [ground.key(seat) for seat in seats], now(), token)


async def take(ground: Ground, wanted: Claim, instance: int = 0) -> float | None:
    lock = ground.instances[instance].lock
    return await lock._ask(lock._take, wanted, lock._settings.lease_seconds)


async def keep(ground: Ground, held: Claim, seconds: float) -> float | None:
    lock = ground.instances[0].lock
    return await lock._ask(lock._keep, held, seconds)


def test_who_takes_seats_gets_all_of_them_or_none(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        assert await take(ground, claim(ground, "one", FRONT, MIDDLE))
        assert await take(ground, claim(ground, "two", BACK, MIDDLE), 1) == 0.0
        assert await ground.is_free(BACK)
        assert [await ground.redis.get(ground.key(seat)) for seat in (FRONT, MIDDLE)] == [b"one", b"one"]

    in_ground(test)


def test_what_is_another_holders_is_neither_renewed_nor_released(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        await ground.redis.set(ground.key(FRONT), "another", px=60_000)
        await ground.redis.set(ground.key(BACK), "one", px=60_000)
        both = claim(ground, "one", FRONT, BACK)
        assert await keep(ground, both, 4.0) == 0.0
        assert await keep(ground, both, 0.0) == 0.0
        assert await ground.redis.get(ground.key(FRONT)) == b"another"
        assert await ground.redis.pttl(ground.key(FRONT)) > 50_000
        assert await ground.is_free(BACK)

    in_ground(test)


def test_a_lease_ends_by_itself_unless_it_is_renewed(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        assert await take(ground, claim(ground, "one", FRONT, BACK))
        began = time.monotonic()
        await ground.until(lambda: _ends_within(ground, FRONT, 300))
        assert await keep(ground, claim(ground, "one", FRONT), 0.6)
        await ground.until(lambda: ground.is_free(BACK))
        assert time.monotonic() - began < 0.8
        assert not await ground.is_free(FRONT)
        await ground.until(lambda: ground.is_free(FRONT))

    in_ground(test, lease_seconds=0.6)


async def _ends_within(ground: Ground, seat: Seat, milliseconds: int) -> bool:
    return bool(await ground.redis.pttl(ground.key(seat)) < milliseconds)


def test_a_server_that_does_not_answer_is_asked_by_one_request_a_second(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        wanted = claim(ground, "one", FRONT)
        await ground.redis.client_pause(4_000, all=True)
        assert await take(ground, wanted) is None
        began = time.monotonic()
        assert [await take(ground, wanted) for _ in range(100)] == [None] * 100
        assert time.monotonic() - began < 0.15
        await asyncio.sleep(1.0)  # the breaker's time
        began = time.monotonic()
        asked = [asyncio.create_task(take(ground, wanted)) for _ in range(100)]
        _, waiting = await asyncio.wait(asked, timeout=0.1)
        assert len(waiting) == 1, "one asks for all"
        assert set(await asyncio.gather(*asked)) == {None}
        await ground.redis.client_unpause()
        await ground.until(lambda: _takes(ground))

    in_ground(test, lock_seconds=0.2, lease_seconds=60.0)


async def _takes(ground: Ground) -> bool:
    return bool(await take(ground, claim(ground, "two", MIDDLE)))
