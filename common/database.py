"""PostgreSQL as the services use it: one pool, reads without a transaction, writes in one at the request's edge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import cache
from typing import Any, ClassVar, TypeVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import BigInteger, DateTime, MetaData, Select, false, func, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.errors import PlatformError
from common.identity import current_user_id
from common.settings import ServiceSettings

V = TypeVar("V", bound=BaseModel)

# Names that Alembic can find again (SQLAlchemy, "Configuring Constraint Naming Conventions").
NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


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


def make_base() -> type[DeclarativeBase]:
    """A declarative base of its own for each service: their tables live in different databases."""

    class Base(DeclarativeBase):
        metadata = MetaData(naming_convention=NAMING)
        type_annotation_map: ClassVar = {datetime: DateTime(timezone=True)}

    return Base


class Database:
    """The pool of one service instance.

    Reads that are one statement need no transaction: AUTOCOMMIT saves BEGIN and ROLLBACK, 100–200 µs a request
    (measured-costs.md). Writes get a session in a transaction.
    """

    def __init__(self, settings: ServiceSettings) -> None:
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
                "server_settings": {"application_name": settings.__class__.__module__.split(".")[0]},
            },
        )
        writing = self.engine.execution_options(isolation_level="READ COMMITTED")
        self._sessions = async_sessionmaker(writing, expire_on_commit=False)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for single-statement reads; each statement sees its own snapshot."""
        async with self.engine.connect() as connection:
            yield connection

    async def views(self, view: type[V], statement: Select[Any], **parameters: Any) -> list[V]:
        """The rows of one read as wire models; ``statement`` labels its columns with the names of their fields.

        A statement that is built once and takes ``parameters`` is read for half the CPU of one that is built anew.
        """
        async with self.reading() as connection:
            found = await connection.execute(statement, parameters)
            return as_views(view, found.keys(), found.all())

    @asynccontextmanager
    async def transaction(self, isolation_level: str | None = None) -> AsyncIterator[AsyncSession]:
        """A session whose work is committed at the end of the block, or rolled back on any exception."""
        async with self._sessions() as session:
            if isolation_level is not None:
                await session.connection(execution_options={"isolation_level": isolation_level})
            yield session
            await session.commit()

    async def check(self) -> None:
        """Asks the server something, for readiness.

        Raises:
            Exception: whatever keeps the database from answering.
        """
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self.engine.dispose()


def is_unavailable(error: BaseException) -> bool:
    """Whether ``error`` says that the database cannot answer now, rather than that the statement was wrong."""
    if isinstance(error, PoolTimeout | ConnectionError | OSError | TimeoutError):
        return True
    if isinstance(error, OperationalError | InterfaceError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def as_views(view: type[V], fields: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[V]:
    """Wire models of ``rows``, whose columns are the model's ``fields``.

    One call into pydantic for the whole list is three times as fast as ``model_construct`` for each row.
    """
    names = tuple(fields)
    return _list_of(view).validate_python([dict(zip(names, row, strict=True)) for row in rows])


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
        name = getattr(violation.orig.__cause__, "constraint_name", None) if violation.orig else None
        if name not in errors:
            raise
        raise errors[name](f"violates {name}") from violation
