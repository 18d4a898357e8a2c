"""Statements that are committed together or not at all, and what their connection is good for afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import asyncpg
import pytest
from sqlalchemy import BigInteger, DateTime, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.database import CONFLICTS, DATABASE_ERRORS, TRIMMED_AT_ONCE, Database, is_unavailable, violations_as
from common.errors import DuplicateEmail, NotFound
from common.statements import Row, Statements, Transaction
from tests.unit.common.pools import Connect, used

Break = Callable[[Statements], Awaitable[object]]


class Base(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012


class Note(Base):
    __tablename__ = "notes"
    word: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[datetime | None]


CREATE = text("""
    CREATE TABLE notes (
        word text CONSTRAINT pk_notes PRIMARY KEY,
        size bigint NOT NULL CONSTRAINT uq_notes_size UNIQUE DEFERRABLE INITIALLY DEFERRED,
        made_at timestamptz
    )
""")
WRITE = text("INSERT INTO notes (word, size) VALUES (:word, :size) RETURNING word")
WORDS = select(Note.word).order_by(Note.word)
TOTAL = text("SELECT coalesce(sum(size), 0)::bigint AS total FROM notes")
BACKEND = text("SELECT pg_backend_pid() AS pid")


async def words(database: Database) -> list[str]:
    return [note.word for note in await database.rows(WORDS)]


async def backend(statements: Statements) -> int:
    """Which of the server's processes serves the connection."""
    (row,) = await statements.rows(BACKEND)
    return int(row.pid)


def ask(url: str, connect: Connect, use: Callable[[Database], Awaitable[Any]]) -> Any:
    async def run(database: Database) -> Any:
        await database.rows(CREATE)
        return await use(database)

    return used(connect(url), run)


async def attempt(database: Database, work: Break, seen: list[int] | None = None) -> None:
    """A transaction that writes a note and does ``work``; ``seen`` tells which process it had."""
    async with database.transaction() as transaction:
        if seen is not None:
            seen.append(await backend(transaction))
        await transaction.rows(WRITE, word="lost", size=1)
        await work(transaction)


async def broken_off(database: Database, work: Break, error: type[BaseException]) -> bool:
    """Has ``work`` break off with ``error``; whether the next transaction has the same connection.

    Either way nothing has been written.
    """
    seen: list[int] = []
    with pytest.raises(error):
        await attempt(database, work, seen)
    assert await words(database) == []
    async with database.transaction() as transaction:
        return [await backend(transaction)] == seen


async def stand_still() -> None:
    """As a process does that is stopped."""
    time.sleep(0.3)  # noqa: ASYNC251


def test_statements_are_committed_together(url: str, connect: Connect) -> None:
    async def use(database: Database) -> tuple[list[str], list[str], Row | None]:
        async with database.transaction() as transaction:
            written = await transaction.row(WRITE, word="one", size=1)
            await transaction.rows(WRITE, word="two", size=2)
            before = await words(database)
        return before, await words(database), written

    before, after, written = ask(url, connect, use)
    assert (before, after, written and written.word) == ([], ["one", "two"], "one")


def test_what_refuses_the_work_undoes_it_and_leaves_the_connection(url: str, connect: Connect) -> None:
    async def refuse(_: Statements) -> None:
        raise NotFound("nothing of it")

    async def divide(statements: Statements) -> None:
        await statements.rows(text("SELECT 1 / 0"))

    assert ask(url, connect, lambda database: broken_off(database, refuse, NotFound))
    assert used(connect(url), lambda database: broken_off(database, divide, asyncpg.DivisionByZeroError))


@pytest.mark.parametrize("error", [ValueError, TimeoutError, asyncio.CancelledError])
def test_whatever_else_ends_the_work_undoes_it_with_its_connection(
    error: type[BaseException], url: str, connect: Connect
) -> None:
    async def fail(_: Statements) -> None:
        raise error

    assert not ask(url, connect, lambda database: broken_off(database, fail, error))


def test_work_that_is_cancelled_within_a_statement_leaves_nothing(url: str, connect: Connect) -> None:
    async def sleep(statements: Statements) -> None:
        async with asyncio.timeout(0.1):
            await statements.rows(text("SELECT pg_sleep(30)"))

    assert not ask(url, connect, lambda database: broken_off(database, sleep, TimeoutError))


def test_a_failure_that_is_passed_over_is_not_taken_for_a_commit(url: str, connect: Connect) -> None:
    async def pass_over(statements: Statements) -> None:
        with suppress(asyncpg.DivisionByZeroError):
            await statements.rows(text("SELECT 1 / 0"))

    assert ask(url, connect, lambda database: broken_off(database, pass_over, asyncpg.InFailedSQLTransactionError))


def test_what_is_refused_at_its_commit_is_undone_and_leaves_the_connection(url: str, connect: Connect) -> None:
    async def write_it_again(statements: Statements) -> None:
        await statements.rows(WRITE, word="other", size=1)

    async def use(database: Database) -> bool:
        seen: list[int] = []
        with pytest.raises(DuplicateEmail), violations_as({"uq_notes_size": DuplicateEmail}):
            await attempt(database, write_it_again, seen)
        assert await words(database) == []
        return [await backend(database)] == seen

    assert ask(url, connect, use)


def test_a_violation_is_the_error_that_its_constraint_stands_for(url: str, connect: Connect) -> None:
    async def use(database: Database) -> None:
        await database.rows(WRITE, word="first", size=1)
        with pytest.raises(DuplicateEmail), violations_as({"pk_notes": DuplicateEmail}):
            await database.rows(WRITE, word="first", size=2)
        with pytest.raises(asyncpg.UniqueViolationError), violations_as({"uq_other": DuplicateEmail}):
            await database.rows(WRITE, word="first", size=2)

    ask(url, connect, use)


def test_serializable_transactions_in_conflict_are_told_apart(url: str, connect: Connect) -> None:
    """Each reads the sum that the other one changes: in neither order would both have seen what they saw."""

    async def use(database: Database) -> tuple[list[type], list[str]]:
        both_have_read = asyncio.Barrier(2)

        async def add(word: str, least: int) -> None:
            async with database.transaction("SERIALIZABLE") as transaction:
                (row,) = await transaction.rows(TOTAL)
                await both_have_read.wait()
                await transaction.rows(WRITE, word=word, size=row.total + least)

        outcomes = await asyncio.gather(add("one", 1), add("two", 2), return_exceptions=True)
        return [type(outcome) for outcome in outcomes], await words(database)

    outcomes, left = ask(url, connect, use)
    assert sum(issubclass(outcome, CONFLICTS) for outcome in outcomes) == 1, outcomes
    assert len(left) == 1


@pytest.mark.parametrize("seconds", [0.0, 0.05], ids=["at once", "later"])
def test_a_connection_that_breaks_is_a_server_that_is_away(seconds: float, url: str, connect: Connect) -> None:
    async def lose_it(statements: Statements) -> None:
        assert isinstance(statements, Transaction)
        statements._driver._transport.abort()
        if seconds:
            await asyncio.sleep(seconds)
        await statements.rows(BACKEND)

    async def use(database: Database) -> bool:
        with pytest.raises(DATABASE_ERRORS) as broken:
            await attempt(database, lose_it)
        assert await backend(database)
        return is_unavailable(broken.value)

    assert ask(url, connect, use)


IDLE = text("SET LOCAL idle_in_transaction_session_timeout = 50")


@pytest.mark.parametrize("stopped", [False, True], ids=["waiting", "stopped"])
def test_a_transaction_that_was_idle_for_too_long_can_be_tried_again(stopped: bool, url: str, connect: Connect) -> None:
    """A process that was stopped asks the next thing before it has heard of the end."""

    async def idle(statements: Statements) -> None:
        await statements.rows(IDLE)
        await (stand_still() if stopped else asyncio.sleep(0.3))
        await statements.rows(BACKEND)

    async def use(database: Database) -> bool:
        with pytest.raises(DATABASE_ERRORS) as ended:
            await attempt(database, idle)
        return is_unavailable(ended.value)

    assert ask(url, connect, use)


def test_what_is_refused_while_the_connection_is_lost_is_refused(url: str, connect: Connect) -> None:
    async def refuse(statements: Statements) -> None:
        await statements.rows(IDLE)
        await stand_still()
        raise NotFound("nothing of it")

    assert not ask(url, connect, lambda database: broken_off(database, refuse, NotFound))


def test_a_connection_that_the_server_ends_unasked_is_a_server_that_is_away(url: str, connect: Connect) -> None:
    """Its last words have been read, but not its end; a request comes in between."""

    async def use(database: Database) -> list[BaseException | None]:
        end = text("SELECT pg_terminate_backend(:pid)")
        outcomes: list[BaseException | None] = []
        for turns in range(5):
            async with database.transaction() as other:
                ended = await backend(database)  # whose connection is the next that anybody gets
                await other.rows(end, pid=ended)
                time.sleep(0.05)  # noqa: ASYNC251  (so that both are there to be read)
                for _ in range(turns):
                    await asyncio.sleep(0)
                try:
                    await database.rows(BACKEND)
                except DATABASE_ERRORS as broken:
                    outcomes.append(broken)
        return outcomes

    assert all(is_unavailable(broken) for broken in ask(url, connect, use) if broken)


def test_old_rows_are_trimmed_some_at_a_time(url: str, connect: Connect) -> None:
    fill = text("""
        INSERT INTO notes
        SELECT 'note ' || i, i, now() - make_interval(secs => CASE WHEN i <= :old THEN 100 ELSE 0 END)
        FROM generate_series(1, :rows) AS i
    """)

    async def use(database: Database) -> tuple[list[bool], int]:
        await database.rows(fill, old=TRIMMED_AT_ONCE + 1, rows=TRIMMED_AT_ONCE + 3)
        more = [await database.trim(Note.made_at, 50.0) for _ in range(2)]
        return more, len(await words(database))

    assert ask(url, connect, use) == ([True, False], 2)
