"""The pool against a real server: what a cancelled read leaves behind, and what an unreachable server is called."""

from __future__ import annotations

import asyncio
import enum
import time
from typing import Any

import asyncpg
import pytest
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Enum,
    any_,
    bindparam,
    cast,
    column,
    event,
    func,
    literal_column,
    select,
    table,
    text,
)

from common.database import Database
from common.errors import ServiceUnavailable
from tests.unit.common.pools import POOL_SIZE, Connect, used

SLOW = select(literal_column("1").label("one"), func.pg_sleep(0.02))
NUMBERS = select(func.generate_series(1, bindparam("last", type_=BigInteger)).label("number"))
BACKEND = select(func.pg_backend_pid().label("pid"))


def test_columns_are_items_and_attributes_in_their_order(url: str, connect: Connect) -> None:
    row = used(connect(url), lambda database: database.row(select(literal_column("7").label("a"), func.upper("x"))))
    assert row is not None
    assert (row.a, row["a"], tuple(row)) == (7, 7, (7, "X"))
    with pytest.raises(AttributeError, match="nothing"):
        _ = row.nothing


def test_parameters_are_the_caller_s_or_the_statement_s_own(url: str, connect: Connect) -> None:
    number = NUMBERS.subquery().c.number
    wanted = bindparam("wanted", type_=ARRAY(BigInteger))
    statement = select(number).where(number == any_(wanted), number > 2).order_by(number.desc())

    async def ask(database: Database) -> list[list[Any]]:
        asked: list[dict[str, Any]] = [{"last": 9, "wanted": [1, 3, 5]}, {"last": 4, "wanted": [3, 5]}]
        return [[row.number for row in await database.rows(statement, **parameters)] for parameters in asked]

    assert used(connect(url), ask) == [[5, 3], [3]]


def test_a_statement_may_be_sql(url: str, connect: Connect) -> None:
    statement = text(
        "SELECT wanted.* FROM unnest(CAST(:rows AS integer[])) AS wanted (seat_row) WHERE seat_row > :least"
    )
    rows = used(connect(url), lambda database: database.rows(statement, rows=(3, 1, 2), least=1))
    assert [row.seat_row for row in rows] == [3, 2]


@pytest.mark.parametrize("parameters", [{}, {"last": 1, "first": 1}], ids=["missing", "unknown"])
def test_parameters_are_those_of_the_statement(parameters: dict[str, Any], url: str, connect: Connect) -> None:
    for statement in (NUMBERS, text("SELECT CAST(:last AS integer)")):
        with pytest.raises((KeyError, TypeError), match=r"last|first"):
            used(connect(url), lambda database: database.rows(statement, **parameters))  # noqa: B023


def test_no_row_is_none(url: str, connect: Connect) -> None:
    assert used(connect(url), lambda database: database.row(NUMBERS, last=0)) is None


def test_a_statement_that_is_refused_costs_no_connection(url: str, connect: Connect) -> None:
    async def ask(database: Database) -> tuple[Any, Any]:
        before = await database.row(BACKEND)
        with pytest.raises(asyncpg.DivisionByZeroError):
            await database.rows(select(literal_column("1 / 0")))
        with pytest.raises(asyncpg.DataError):  # by the driver, which has no way to say it to the server
            await database.rows(NUMBERS, last=2**70)
        after = await database.row(BACKEND)
        return before, after

    before, after = used(connect(url), ask)
    assert before == after


def test_connections_that_the_server_has_closed_are_passed_over(url: str, connect: Connect) -> None:
    sessions = table("pg_stat_activity", column("pid"), column("datname"))
    others = select(func.pg_terminate_backend(sessions.c.pid)).where(
        sessions.c.datname == func.current_database(), sessions.c.pid != func.pg_backend_pid()
    )

    async def ask(database: Database) -> list[Any]:
        closed = asyncio.Semaphore(0)

        def listen(made: Any, _: object) -> None:
            made.driver_connection.add_termination_listener(lambda _: closed.release())

        event.listen(database.engine.sync_engine, "connect", listen)
        await database.check()  # fills the pool
        await database.rows(others)
        async with asyncio.timeout(10):
            for _ in range(POOL_SIZE - 1):
                await closed.acquire()
        # One that it closes while it is being used is noticed too, and is not given back.
        with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
            await database.rows(select(func.pg_terminate_backend(func.pg_backend_pid())))
        async with database.session() as session:
            await session.scalars(BACKEND)
        return await asyncio.gather(*(database.row(BACKEND) for _ in range(2 * POOL_SIZE)))

    assert all(used(connect(url), ask))


def test_the_pool_is_filled_however_short_a_transaction_may_be_idle(url: str, connect: Connect) -> None:
    async def fill(database: Database) -> None:
        event.listen(database.engine.sync_engine, "connect", lambda *_: time.sleep(0.1))
        await database.check()

    used(connect(url, idle_in_transaction_session_timeout="200"), fill)


def test_sessions_and_statements_share_the_pool(url: str, connect: Connect) -> None:
    async def ask(database: Database) -> set[int]:
        async def in_session() -> int:
            async with database.session() as session:
                return int((await session.scalars(BACKEND)).one())

        async def in_transaction() -> int:
            async with database.transaction() as transaction:
                (row,) = await transaction.rows(BACKEND)
                return int(row.pid)

        async def alone() -> int:
            (row,) = await database.rows(BACKEND)
            return int(row.pid)

        await database.check()
        asked = [work() for _ in range(4 * POOL_SIZE) for work in (in_session, in_transaction, alone)]
        return set(await asyncio.gather(*asked))

    # All of the connections, and none besides.
    assert len(used(connect(url), ask)) == POOL_SIZE


def test_a_refusal_to_connect_is_the_driver_s(url: str, connect: Connect) -> None:
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        used(connect(f"{url}_that_is_not_there"), lambda database: database.rows(BACKEND))


def test_a_column_that_would_have_to_be_converted_is_refused(url: str, connect: Connect) -> None:
    class Colour(enum.Enum):
        RED = "red"

    statement = select(cast("red", Enum(Colour, native_enum=False)).label("colour"))
    with pytest.raises(TypeError, match="colour"):
        used(connect(url), lambda database: database.rows(statement))


def test_cancelled_reads_give_their_connections_back(url: str, connect: Connect) -> None:
    async def ask(database: Database) -> tuple[list[int | BaseException], list[int]]:
        async def read() -> int:
            row = await database.row(SLOW)
            return int(row.one) if row else 0

        loop = asyncio.get_running_loop()
        reads = [loop.create_task(read()) for _ in range(60)]
        # Some of them wait for their turn, some for a new connection, some for the server's answer.
        for number, task in enumerate(reads[::2]):
            loop.call_later(number * 0.005, task.cancel)
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        return outcomes, await asyncio.gather(*(read() for _ in range(POOL_SIZE)))

    outcomes, after = used(connect(url), ask)
    assert outcomes[1::2] == [1] * 30
    assert sum(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes) > POOL_SIZE
    assert after == [1] * POOL_SIZE


@pytest.mark.parametrize("host", ["127.0.0.1:1", "localhost:1", "no-such-host.invalid"])
def test_a_server_that_cannot_be_reached_is_unavailable(host: str, connect: Connect) -> None:
    async def run() -> None:
        await connect(f"postgresql://nobody@{host}/nowhere").check()

    with pytest.raises(ServiceUnavailable, match="database"):
        asyncio.run(run())
