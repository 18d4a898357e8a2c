"""A seat is sold once, under any crowd, and nothing is written by who has no lease any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from common.database import DATABASE_ERRORS, is_unavailable
from common.errors import ServiceUnavailable
from common.statements import Transaction
from order.seat_lock import Claim, SeatLock
from order.seats import Seat
from tests.unit.stages.order.seat_locks.conftest import InGround
from tests.unit.stages.order.seat_locks.ground import Ground, outcomes

SEAT, OTHER = Seat(3, 7), Seat(3, 8)
NOWHERE = "redis://127.0.0.1:1/0"
SHORT_LEASE = 1.0


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(f"order_seat_lock_{name}") or 0.0


@contextmanager
def undone() -> Iterator[None]:
    """What is answered with 503: the lease has ended, or PostgreSQL has ended the transaction."""
    with pytest.raises((ServiceUnavailable, *DATABASE_ERRORS)) as raised:
        yield
    assert isinstance(raised.value, ServiceUnavailable) or is_unavailable(raised.value), repr(raised.value)


@pytest.mark.parametrize("shape", ["at one seat", "at three of ten"])
def test_of_a_crowd_at_two_instances_nobody_gets_a_sold_seat(shape: str, in_ground: InGround) -> None:
    def wanted(number: int) -> list[Seat]:
        if shape == "at one seat":
            return [SEAT]
        columns = [1 + (number + step) % 10 for step in (0, 3, 7)]
        return [Seat(1, column) for column in (columns if number % 3 else reversed(columns))]

    async def test(ground: Ground) -> None:
        tries = (ground.book(number % 2, *wanted(number), user_id=number) for number in range(400))
        results = await asyncio.gather(*tries, return_exceptions=True)
        found = outcomes(results)
        assert set(found) == {"sold", "SeatAlreadyBooked"}, found
        sold = [seat for seat, _ in await ground.sold()]
        assert len(sold) == len(set(sold))
        if shape == "at one seat":
            assert found == {"sold": 1, "SeatAlreadyBooked": 399}
            # The crowd does not come as far as the database: one buyer does; and one of the other instance, if that one
            # saw the seat free before it was sold, and had the lock afterwards.
            assert len(ground.tried) in (1, 2)
        else:
            assert 1 <= found["sold"] <= 3
            assert len(sold) == 3 * found["sold"]

    in_ground(test)


@pytest.mark.parametrize("ends", ["is sold", "is undone"])
def test_without_a_lock_server_the_index_alone_is_right(ends: str, in_ground: InGround) -> None:
    """The same two seats in opposite orders: the second waits for the first, and never each for the other."""
    before = counted("without_total")

    async def test(ground: Ground) -> None:
        both_are_at_it = asyncio.Event()

        async def end(_: Transaction) -> None:
            await both_are_at_it.wait()
            if ends == "is undone":
                raise ServiceUnavailable("made up")

        first = asyncio.create_task(ground.book(0, SEAT, OTHER, then=end))
        await ground.until(lambda: _tried(ground))
        second = asyncio.create_task(ground.book(1, OTHER, SEAT, user_id=2))
        await ground.until(lambda: _waits_in_the_database(ground))
        both_are_at_it.set()
        results = await asyncio.gather(first, second, return_exceptions=True)
        winner, other = (1, "SeatAlreadyBooked") if ends == "is sold" else (2, "ServiceUnavailable")
        assert outcomes(results) == {"sold": 1, other: 1}
        assert await ground.sold() == [(SEAT, winner), (OTHER, winner)]

    in_ground(test, REDIS_URL=NOWHERE)
    assert counted("without_total") - before == 2


async def _waits_in_the_database(ground: Ground) -> bool:
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT INTO bookings%'"
    return bool(await ground.instances[0].run(text(waiting)))


@pytest.mark.parametrize("who", ["this instance", "another"])
def test_waiting_has_an_end(who: str, in_ground: InGround) -> None:
    before = counted("timeouts_total")

    async def test(ground: Ground) -> None:
        done = asyncio.Event()

        async def dawdle(_: Transaction) -> None:
            await done.wait()

        first = asyncio.create_task(ground.book(0, SEAT, then=dawdle))
        await ground.until(lambda: _tried(ground))
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable) as refused:
            await ground.book(0 if who == "this instance" else 1, OTHER, SEAT)
        assert 0.25 <= time.monotonic() - began < 2.0
        assert refused.value.retry_after == 1
        done.set()
        await first
        assert await ground.sold() == [(SEAT, 1)]
        assert await ground.is_free(OTHER)
        await ground.book(1, OTHER)

    in_ground(test, seat_wait_seconds=0.3)
    assert counted("timeouts_total") - before == 1


async def _tried(ground: Ground) -> bool:
    return bool(ground.tried)


def test_a_seat_that_its_first_buyer_does_not_get_is_the_next_ones(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        failed = asyncio.Event()

        async def fail(_: Transaction) -> None:
            await failed.wait()
            raise ServiceUnavailable("made up")

        first = asyncio.create_task(ground.book(0, SEAT, then=fail))
        await ground.until(lambda: _tried(ground))
        others = [asyncio.create_task(ground.book(number % 2, SEAT, user_id=2)) for number in range(20)]
        failed.set()
        results = await asyncio.gather(first, *others, return_exceptions=True)
        assert outcomes(results) == {"ServiceUnavailable": 1, "SeatAlreadyBooked": 19, "sold": 1}
        assert await ground.sold() == [(SEAT, 2)]

    in_ground(test)


def test_who_waits_is_told_what_the_one_ahead_finds_out(in_ground: InGround, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crowd at one instance looks once while the seat is being sold, and once or twice when it is."""
    look, looks = SeatLock._require_free, 0

    async def counted_look(lock: SeatLock, claim: Claim) -> None:
        nonlocal looks
        looks += 1
        await look(lock, claim)

    async def test(ground: Ground) -> None:
        for _ in range(2):
            results = await asyncio.gather(*(ground.book(0, SEAT) for _ in range(300)), return_exceptions=True)
            assert set(outcomes(results)) <= {"sold", "SeatAlreadyBooked"}
        assert len(await ground.sold()) == 1
        assert looks <= 3

    monkeypatch.setattr(SeatLock, "_require_free", counted_look)
    in_ground(test)


def test_who_comes_after_a_look_does_not_go_by_it(in_ground: InGround, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seat may have been given back in between, and who gave it back wants it again."""
    look, answered, go_on = SeatLock._require_free, asyncio.Event(), asyncio.Event()

    async def slow_look(lock: SeatLock, claim: Claim) -> None:
        try:
            await look(lock, claim)
        finally:
            answered.set()
            await go_on.wait()

    async def test(ground: Ground) -> None:
        await ground.book(0, SEAT)
        with monkeypatch.context() as patched:
            patched.setattr(SeatLock, "_require_free", slow_look)
            late = asyncio.create_task(ground.book(0, SEAT, user_id=2))
            await answered.wait()
        await ground.instances[1].run(text("UPDATE bookings SET status = 'CANCELED'"))
        back = asyncio.create_task(ground.book(0, SEAT, user_id=3))
        await asyncio.sleep(0)
        go_on.set()
        results = await asyncio.gather(late, back, return_exceptions=True)
        assert outcomes(results[:1]) == {"SeatAlreadyBooked": 1}
        assert outcomes(results[1:]) == {"sold": 1}

    in_ground(test)


def test_a_lease_outlives_its_length_while_its_holder_works(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        async def dawdle(transaction: Transaction) -> None:
            for _ in range(30):
                await asyncio.sleep(0.1)
                await _ping(transaction)
            assert not await ground.is_free(SEAT)

        await ground.book(0, SEAT, then=dawdle)
        assert await ground.sold() == [(SEAT, 1)]

    in_ground(test, lease_seconds=SHORT_LEASE)


async def _ping(transaction: Transaction) -> None:
    await transaction.rows(text("SELECT 1"))


def test_who_learns_that_the_lease_is_lost_writes_nothing(in_ground: InGround) -> None:
    """The lock server has lost its data, and another has the lock."""
    before = counted("lost_total")

    async def test(ground: Ground) -> None:
        async def lose(transaction: Transaction) -> None:
            await ground.redis.set(ground.key(SEAT), "another", px=60_000)
            (lease,) = ground.instances[0].lock._held
            while lease.ends:
                await _ping(transaction)

        with pytest.raises(ServiceUnavailable):
            await ground.book(0, SEAT, then=lose)
        assert await ground.sold() == []
        assert await ground.redis.get(ground.key(SEAT)) == b"another"

    in_ground(test, lease_seconds=SHORT_LEASE)
    assert counted("lost_total") - before == 1


def test_who_stands_still_before_the_check_writes_nothing(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        async def stand_still(_: Transaction) -> None:
            time.sleep(SHORT_LEASE)  # noqa: ASYNC251  (all of the process does)

        with undone():
            await ground.book(0, SEAT, then=stand_still)
        assert await ground.sold() == []
        await ground.book(1, SEAT, user_id=2)
        assert await ground.sold() == [(SEAT, 2)]

    in_ground(test, lease_seconds=SHORT_LEASE)


def test_who_stands_still_between_check_and_commit_writes_nothing(
    in_ground: InGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL ends the transaction while the lease lasts, so that it cannot be committed behind it."""
    check = Claim.check
    left: list[float] = []

    def stand_still(lease: Claim, margin_seconds: float) -> None:
        check(lease, margin_seconds)
        time.sleep(0.3 * SHORT_LEASE)
        left.append(lease.ends)

    async def test(ground: Ground) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Claim, "check", stand_still)
            with undone():
                await ground.book(0, SEAT)
        assert left
        assert await ground.sold() == []
        await ground.book(1, SEAT, user_id=2)
        assert await ground.sold() == [(SEAT, 2)]

    in_ground(test, lease_seconds=SHORT_LEASE)


@pytest.fixture
def slow_commits(orders: str) -> Iterator[None]:
    """Every COMMIT of a booking takes 300 ms."""
    with psycopg.connect(orders, autocommit=True) as database:
        database.execute(
            "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END'"
        )
        database.execute(
            "CREATE CONSTRAINT TRIGGER dawdle AFTER INSERT ON bookings DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION dawdle()"
        )
        yield
        database.execute("DROP FUNCTION dawdle CASCADE")


@pytest.mark.usefixtures("slow_commits")
def test_a_lock_is_released_after_the_commit_and_not_before(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        booking = asyncio.create_task(ground.book(0, SEAT))
        await ground.until(lambda: _tried(ground))
        assert not await ground.is_free(SEAT)
        await ground.until(lambda: ground.is_free(SEAT))
        assert await ground.sold() == [(SEAT, 1)]
        await booking

    in_ground(test)


def test_who_goes_away_leaves_no_lock_behind(in_ground: InGround) -> None:
    async def test(ground: Ground) -> None:
        for pause in (0.0, 0.001, 0.002, 0.003, 0.005, 0.008):
            leaving = asyncio.create_task(ground.book(0, SEAT, OTHER))
            await asyncio.sleep(pause)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            await ground.until(lambda: ground.is_free(SEAT), 2.0)
            assert ground.instances[0].lock._turns == {}
            if await ground.sold():
                break
        else:
            await ground.book(1, SEAT, OTHER)
        assert len(await ground.sold()) == 2

    in_ground(test, lease_seconds=60.0)
