"""PostgreSQL as the services use it: one pool, single statements as they are, the rest in one transaction a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any

import asyncpg
from sqlalchemy import (
    BigInteger,
    ColumnClause,
    DateTime,
    Double,
    bindparam,
    delete,
    false,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import InstrumentedAttribute, Mapped, mapped_column
from sqlalchemy.sql.dml import ReturningDelete

from common.connections import Connections
from common.errors import PlatformError
from common.identity import current_user_id
from common.settings import ServiceSettings
from common.statements import Row, Statement, Statements, Transaction, compile_statement, is_refusal

# What the declarative base of each service has in common; the bases differ, since their tables live in different
# databases.
TYPES: dict[Any, Any] = {datetime: DateTime(timezone=True)}

# Names that Alembic can find again (SQLAlchemy, "Configuring Constraint Naming Conventions").
NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


# What a serializable transaction may end with only because of others at the same time.
CONFLICTS = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)

# Statements of which a process remembers what they are in SQL; the least recently used are forgotten.
COMPILED_STATEMENTS = 256

_ANYTHING = text("SELECT 1")

# Rows that are deleted in one statement, so that none takes long.
TRIMMED_AT_ONCE = 1_000


class Audited:
    """Who made and changed a row, and its soft deletion: it stays, and every read hides it."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[int | None] = mapped_column(BigInteger, default=current_user_id)
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    updated_by: Mapped[int | None] = mapped_column(BigInteger, default=current_user_id, onupdate=current_user_id)
    is_deleted: Mapped[bool] = mapped_column(server_default=false(), default=False)
    deleted_at: Mapped[datetime | None]
    deleted_by: Mapped[int | None] = mapped_column(BigInteger)

    def soft_delete(self, now: datetime) -> None:
        """Hides the row from every read from now on."""
        self.is_deleted = True
        self.deleted_at = now
        self.deleted_by = current_user_id()


class Database(Statements):
    """The pool of one service instance.

    What is one statement needs no transaction around it: that saves BEGIN and COMMIT, 100–200 µs a request
    (measured-costs.md).
    """

    def __init__(self, settings: ServiceSettings, *, session_parameters: Mapping[str, str] | None = None) -> None:
        """
        Args:
            session_parameters: PostgreSQL's run-time parameters (as ``SET`` takes them) for every connection.
        """
        size, wait_seconds = settings.database_pool_size, settings.database_pool_wait_seconds
        self.engine = create_async_engine(
            settings.database_url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=wait_seconds,
            pool_use_lifo=True,
            connect_args={
                "timeout": wait_seconds,
                "command_timeout": settings.database_statement_seconds,
                "server_settings": {
                    "application_name": settings.__class__.__module__.split(".")[0],
                    **(session_parameters or {}),
                },
            },
        )
        self._connections = Connections(self.engine, size, wait_seconds)
        self._filled = False
        self._checking = asyncio.Lock()
        self._compiled = lru_cache(maxsize=COMPILED_STATEMENTS)(partial(compile_statement, self.engine.dialect))
        self._sessions = async_sessionmaker(self.engine, expire_on_commit=False)

    async def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        """What one statement gives, in a transaction of its own.

        Raises:
            ServiceUnavailable: no connection became free in time, or the server cannot be reached.
            TimeoutError, asyncpg.InterfaceError: it does not answer any more.
            asyncpg.PostgresError: it refuses the statement, or ends the connection.
        """
        compiled = self._compiled(statement)
        arguments = compiled.arguments(parameters)
        lent, fit = await self._connections.take(), False
        try:
            found: list[Row] = await lent.driver.fetch(compiled.sql, *arguments, record_class=Row)
            fit = True
        except asyncpg.PostgresError as refused:
            fit = is_refusal(refused)
            raise
        finally:
            await self._connections.give_back(lent, fit=fit)
        return found

    @asynccontextmanager
    async def transaction(self, isolation_level: str = "READ COMMITTED") -> AsyncIterator[Transaction]:
        """Statements that are committed at the end of the block, or rolled back on any exception; raises as ``rows``.

        A serializable transaction that is in conflict with others raises one of ``CONFLICTS``, be it at the end.
        """
        lent = await self._connections.take()
        transaction = Transaction(lent.driver, self._compiled)
        try:
            async with transaction.begun(isolation_level):
                yield transaction
        finally:
            await self._connections.give_back(lent, fit=transaction.has_ended)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """SQLAlchemy's unit of work: objects that are committed at the end of the block, or rolled back.

        For changes that few people make: it takes three times the CPU of a ``transaction``.

        Raises:
            ServiceUnavailable: no connection became free in time, or the server cannot be reached.
        """
        async with self._connections.left_to_the_engine(), self._sessions() as session:
            yield session
            await session.commit()

    async def trim(self, over: InstrumentedAttribute[Any], kept_seconds: float) -> bool:
        """Deletes rows that were ``over`` so long ago, some at a time; whether there may be more of them.

        Any number of instances may do so at once: each passes over the rows that another has locked.
        """
        deleted = await self.rows(_trimming(over), kept_seconds=kept_seconds)
        return len(deleted) == TRIMMED_AT_ONCE

    async def check(self) -> None:
        """Asks the server something, for readiness; the first time that it answers, the pool is filled.

        Making connections is work that a small instance should not do while its first clients wait: ready means that
        none of them pays for it.

        Raises:
            Exception: whatever keeps the database from answering.
        """
        # One at a time: two that fill the pool would each wait for the connections that the other holds.
        async with self._checking:
            if not self._filled:
                await self._connections.fill()
                self._filled = True
            await self.rows(_ANYTHING)

    async def close(self) -> None:
        await self._connections.close()


# SQLSTATEs, or their classes, of a server that cannot serve now: connection lost, transaction rolled back (idle for too
# long, deadlock, serialization), too many connections, not in the state for it, shut down or cancelled, its own disk or
# memory failing.
_PASSING = ("08", "25P03", "40", "53", "55", "57", "58")

# What the driver raises on a broken connection; InternalClientError where the server has said that it will end it, and
# the driver has not seen the end of it.
_BROKEN = (asyncpg.InterfaceError, asyncpg.InternalClientError)

_UNAVAILABLE = (PoolTimeout, ConnectionError, TimeoutError, OperationalError, InterfaceError, *_BROKEN)

# Every kind of exception that may mean so; ``is_unavailable`` decides.
DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, *_BROKEN, ConnectionError, TimeoutError)


def is_unavailable(error: BaseException) -> bool:
    """Whether ``error`` says that the database cannot answer now, rather than that the statement was wrong.

    It comes as the driver raised it; what a session has run into, inside of SQLAlchemy's exceptions.
    """
    if isinstance(error, _UNAVAILABLE):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_PASSING)


@cache
def _trimming(over: InstrumentedAttribute[Any]) -> ReturningDelete[Any]:
    # A row's place (ctid) names it in any table, and it is locked there until it is deleted.
    place: ColumnClause[Any] = literal_column("ctid")
    long_ago = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, bindparam("kept_seconds", type_=Double))
    old = select(place).select_from(over.class_).where(over < long_ago).limit(TRIMMED_AT_ONCE)
    return delete(over.class_).where(place.in_(old.with_for_update(skip_locked=True))).returning(place)


@contextmanager
def violations_as(errors: Mapping[str, type[PlatformError]]) -> Iterator[None]:
    """Turns the violation of a constraint that ``errors`` names into the contract's error for it.

    The database is the judge: a check before the write could be overtaken by another request's write.
    """
    try:
        yield
    except (asyncpg.IntegrityConstraintViolationError, IntegrityError) as violation:
        # SQLAlchemy wraps its adapter's exception, which wraps asyncpg's, which knows the name.
        wrapped = violation.orig.__cause__ if isinstance(violation, IntegrityError) and violation.orig else violation
        name: str = getattr(wrapped, "constraint_name", "")
        if name not in errors:
            raise
        raise errors[name](f"violates {name}") from violation
