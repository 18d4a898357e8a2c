"""PostgreSQL as the services use it: one pool, single statements as they are, the rest in one transaction a request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import datetime
from functools import cache, lru_cache, partial
from typing import Any, TypeVar

import asyncpg
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import (
    BigInteger,
    ColumnClause,
    DateTime,
    Dialect,
    PoolProxiedConnection,
    Select,
    TextClause,
    delete,
    event,
    false,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, mapped_column

from common.compiled import compile_statement
from common.errors import PlatformError, ServiceUnavailable
from common.identity import current_user_id
from common.settings import ServiceSettings

V = TypeVar("V", bound=BaseModel)

# A statement that selects whatever columns.
Rows = Select[*tuple[Any, ...]]

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


# Statements of which a process remembers what they are in SQL; the least recently used are forgotten.
COMPILED_STATEMENTS = 256

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


class Row(asyncpg.Record):  # type: ignore[misc]
    """What is read of one row; its columns are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Database:
    """The pool of one service instance.

    What is one statement needs no transaction around it: AUTOCOMMIT saves BEGIN and COMMIT, 100–200 µs a request
    (measured-costs.md). Work of several statements gets a session in a transaction.
    """

    def __init__(self, settings: ServiceSettings, *, session_parameters: Mapping[str, str] | None = None) -> None:
        """
        Args:
            session_parameters: PostgreSQL's run-time parameters (as ``SET`` takes them) for every connection.
        """
        self.engine = create_async_engine(
            settings.database_url,
            pool_size=settings.database_pool_size,
            max_overflow=0,
            pool_timeout=settings.database_pool_wait_seconds,
            pool_use_lifo=True,
            # The rare case, writes, pays for changing the level of its connection and back.
            isolation_level="AUTOCOMMIT",
            connect_args={
                "timeout": settings.database_pool_wait_seconds,
                "command_timeout": settings.database_statement_seconds,
                "server_settings": {
                    "application_name": settings.__class__.__module__.split(".")[0],
                    **(session_parameters or {}),
                },
            },
        )
        event.listen(self.engine.sync_engine, "do_connect", _connect)
        self._pool_size = settings.database_pool_size
        self._filled = False
        self._checking = asyncio.Lock()
        self._places = asyncio.Semaphore(self._pool_size)
        self._wait_seconds = settings.database_pool_wait_seconds
        self._compiled = lru_cache(maxsize=COMPILED_STATEMENTS)(partial(compile_statement, self.engine.dialect))
        # A way to run synchronous SQLAlchemy on the event loop; nothing is ever done with the session itself.
        self._greenlets = AsyncSession(self.engine)
        writing = self.engine.execution_options(isolation_level="READ COMMITTED")
        self._sessions = async_sessionmaker(writing, expire_on_commit=False)

    @asynccontextmanager
    async def autocommit(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose every statement is a transaction of its own: sees its own snapshot, commits by itself.

        Raises:
            ServiceUnavailable: no connection became free in time, or the server cannot be reached.
        """
        async with self._turn(), self.engine.connect() as connection:
            yield connection

    async def rows(self, statement: Rows | TextClause, **parameters: Any) -> list[Row]:
        """What one statement reads, in a transaction of its own; raises as ``autocommit``.

        SQLAlchemy writes the statement, once for each that is asked here again, and lends the connection; its driver
        does the rest by itself. That takes two thirds of the CPU (docs/decisions/0001-asyncpg-core-autocommit.md).
        """
        compiled = self._compiled(statement)
        arguments = compiled.arguments(parameters)

        def run(_: Session) -> list[Row]:
            return self._fetch(compiled.sql, arguments)

        async with self._turn():
            # Getting a connection, reading and giving it back in one greenlet: as awaits of their own each has one.
            return await self._greenlets.run_sync(run)

    async def row(self, statement: Rows | TextClause, **parameters: Any) -> Row | None:
        """The only row of what ``rows`` reads, if there is one."""
        found = await self.rows(statement, **parameters)
        assert len(found) < 2, "the statement asks for one row"
        return found[0] if found else None

    async def views(self, view: type[V], statement: Rows, **parameters: Any) -> list[V]:
        """What ``rows`` reads as wire models; ``statement`` labels its columns with the names of their fields."""
        return as_views(view, statement.selected_columns.keys(), await self.rows(statement, **parameters))

    @asynccontextmanager
    async def transaction(self, isolation_level: str | None = None) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end of the block, or rolled back on any exception.

        Raises:
            ServiceUnavailable: no connection became free in time, or the server cannot be reached.
        """
        async with self._turn(), self._sessions() as session:
            if isolation_level is not None:
                await session.connection(execution_options={"isolation_level": isolation_level})
            yield session
            await session.commit()

    async def trim(self, over: InstrumentedAttribute[Any], kept_seconds: float) -> bool:
        """Deletes rows that were ``over`` so long ago, some at a time; whether there may be more of them.

        Any number of instances may do so at once: each passes over the rows that another has locked.
        """
        # A row's place (ctid) names it in any table, and it is locked there until it is deleted.
        place: ColumnClause[Any] = literal_column("ctid")
        long_ago = func.now() - func.make_interval(0, 0, 0, 0, 0, 0, kept_seconds)
        old = select(place).select_from(over.class_).where(over < long_ago).limit(TRIMMED_AT_ONCE)
        statement = delete(over.class_).where(place.in_(old.with_for_update(skip_locked=True)))
        async with self.autocommit() as connection:
            return (await connection.execute(statement)).rowcount == TRIMMED_AT_ONCE

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A place at the pool, in order of arrival.

        The pool's own queue is not fair: a request that arrives when a connection has just been given back takes it
        before the one that was woken for it, which then waits behind everybody. With a hundred clients in a closed
        loop some starved until they got 503, while the others were served twice.
        """
        if self._places.locked():
            try:
                async with asyncio.timeout(self._wait_seconds):
                    await self._places.acquire()
            except TimeoutError as full:
                raise ServiceUnavailable("no database connection became free in time") from full
        else:
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    def _fetch(self, sql: str, arguments: Sequence[Any]) -> list[Row]:
        lent = self._lent()
        try:
            connection: Any = lent.dbapi_connection
            found: list[Row] = connection.run_async(lambda driver: driver.fetch(sql, *arguments, record_class=Row))
        except asyncpg.PostgresError as refused:
            if refused.severity_en == "ERROR":
                lent.close()  # the statement is what was wrong: the connection is as it was
            else:
                lent.invalidate(refused)
            raise
        except BaseException as broken:
            lent.invalidate(broken)  # what it was about to receive must not be another's
            raise
        lent.close()
        return found

    def _lent(self) -> PoolProxiedConnection:
        """A connection of the pool's, and none of which the driver knows that the server has closed it."""
        while True:
            try:
                lent = self.engine.sync_engine.raw_connection()
            except self.engine.dialect.loaded_dbapi.Error as refused:
                # SQLAlchemy's own name for what the driver has raised; nobody else knows it.
                raise refused.__cause__ or refused  # noqa: B904
            driver: Any = lent.driver_connection
            if not driver.is_closed():
                return lent
            lent.invalidate()

    async def check(self) -> None:
        """Asks the server something, for readiness; the first time that it answers, the pool is filled.

        Making connections is work that a small instance should not do while its first clients wait: ready means that
        none of them pays for it.

        Raises:
            Exception: whatever keeps the database from answering.
        """
        # One at a time: two that fill the pool would each wait for the connections that the other holds.
        async with self._checking, AsyncExitStack() as held:
            for _ in range(1 if self._filled else self._pool_size):
                connection = await held.enter_async_context(self.autocommit())
            await connection.execute(text("SELECT 1"))
        self._filled = True

    async def close(self) -> None:
        await self.engine.dispose()


def _connect(dialect: Dialect, _: object, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Makes a connection (SQLAlchemy's event ``do_connect``).

    Here, and nowhere else, any OSError means that the server cannot be reached: no route, no such host, refused at
    all of its addresses.
    """
    try:
        return dialect.connect(*arguments, **options)
    except OSError as unreachable:
        raise ServiceUnavailable(f"database: {type(unreachable).__name__}: {unreachable}") from unreachable


# SQLSTATEs, or their classes, of a server that cannot serve now: connection lost, transaction rolled back (deadlock,
# serialization), too many connections, not in the state for it, shut down or cancelled, its own disk or memory failing.
_PASSING = ("08", "40", "53", "55", "57", "58")

_UNAVAILABLE = (
    PoolTimeout, ConnectionError, TimeoutError, OperationalError, InterfaceError, asyncpg.InterfaceError,
)  # fmt: skip

# Every kind of exception that may mean so; ``is_unavailable`` decides.
DATABASE_ERRORS = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError, TimeoutError)


def is_unavailable(error: BaseException) -> bool:
    """Whether ``error`` says that the database cannot answer now, rather than that the statement was wrong.

    What the server says while a connection is made comes as the driver raised it, everything else inside of
    SQLAlchemy's exceptions, but for time-outs and broken connections.
    """
    if isinstance(error, _UNAVAILABLE):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = getattr(error.orig if isinstance(error, DBAPIError) else error, "sqlstate", None)
    return isinstance(state, str) and state.startswith(_PASSING)


def as_views(view: type[V], fields: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[V]:
    """Wire models of ``rows``, whose first columns are the model's ``fields``.

    One call into pydantic for the whole list is three times as fast as ``model_construct`` for each row.
    """
    names = tuple(fields)
    return _list_of(view).validate_python([dict(zip(names, row, strict=False)) for row in rows])


@cache
def _list_of(view: type[V]) -> TypeAdapter[list[V]]:
    return TypeAdapter(list[view])  # type: ignore[valid-type]


@contextmanager
def violations_as(errors: Mapping[str, type[PlatformError]]) -> Iterator[None]:
    """Turns the violation of a constraint that ``errors`` names into the contract's error for it.

    The database is the judge: a check before the write could be overtaken by another request's write.
    """
    try:
        yield
    except IntegrityError as violation:
        # SQLAlchemy wraps its adapter's exception, which wraps asyncpg's, which knows the name.
        name: str = getattr(violation.orig.__cause__, "constraint_name", "") if violation.orig else ""
        if name not in errors:
            raise
        raise errors[name](f"violates {name}") from violation
