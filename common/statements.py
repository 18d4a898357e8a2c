"""Statements: SQLAlchemy writes them, on the models or as SQL, and its driver runs them by itself.

What SQLAlchemy does around a statement costs more than the statement (docs/decisions/0001-asyncpg-sqlalchemy.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, NamedTuple, TypeVar

import asyncpg
from pydantic import BaseModel, TypeAdapter
from sqlalchemy import Dialect, Select, TextClause
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import ReturningDelete

from common.errors import PlatformError

V = TypeVar("V", bound=BaseModel)

# Selects whatever columns.
Rows = Select[*tuple[Any, ...]]
Statement = Rows | TextClause | ReturningDelete[Any]


class Compiled(NamedTuple):
    """A statement as the driver takes it.

    Attributes:
        names: of its parameters, in the order of their numbers.
        values: of those for which the statement itself has one.
        converters: of those whose type is not the driver's own.
    """

    sql: str
    names: Sequence[str]
    values: Mapping[str, Any]
    converters: Mapping[str, Callable[[Any], Any]]

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """All that the statement takes, in order.

        Raises:
            KeyError: one of them is missing.
            TypeError: there is one that the statement does not have.
        """
        values = {**self.values, **parameters}
        if len(values) > len(self.names):
            raise TypeError(f"not in the statement: {', '.join(values.keys() - set(self.names))}")
        for name, convert in self.converters.items():
            values[name] = convert(values[name])
        return [values[name] for name in self.names]


class Row(asyncpg.Record):  # type: ignore[misc]
    """What is read of one row; its columns are attributes, too."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class Statements(ABC):
    """Where statements are run. A statement is made once, and kept: each that is new here has to be compiled."""

    @abstractmethod
    async def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        """What one statement gives, be it read or written by it.

        Raises:
            asyncpg.PostgresError: the server refuses it.
            ServiceUnavailable, or what ``database.is_unavailable`` knows: the server does not answer.
        """

    async def row(self, statement: Statement, **parameters: Any) -> Row | None:
        """The only row of what ``rows`` gives, if there is one."""
        found = await self.rows(statement, **parameters)
        assert len(found) < 2, "the statement asks for one row"
        return found[0] if found else None

    async def views(self, view: type[V], statement: Rows, **parameters: Any) -> list[V]:
        """What ``rows`` gives as wire models; ``statement`` labels its columns with the names of their fields."""
        return as_views(view, statement.selected_columns.keys(), await self.rows(statement, **parameters))


class Transaction(Statements):
    """Statements on one connection, which are committed together or not at all.

    Attributes:
        has_ended: the server has said so: its connection can be another's.
    """

    def __init__(self, driver: asyncpg.Connection, compiled: Callable[[Statement], Compiled]) -> None:
        self._driver = driver
        self._compiled = compiled
        self.has_ended = False

    async def rows(self, statement: Statement, **parameters: Any) -> list[Row]:
        compiled = self._compiled(statement)
        arguments = compiled.arguments(parameters)
        found: list[Row] = await self._driver.fetch(compiled.sql, *arguments, record_class=Row)
        return found

    @asynccontextmanager
    async def begun(self, isolation_level: str) -> AsyncIterator[None]:
        """Is committed at the end of the block.

        What the block's refusal rolls back, the connection survives. Whatever else ends the block, a time-out or a
        cancellation, leaves the server at nobody knows what: the connection has to go, and the transaction with it.
        """
        await self._driver.execute(f"BEGIN ISOLATION LEVEL {isolation_level}")
        try:
            yield
        except (PlatformError, asyncpg.PostgresError) as refusal:
            try:
                await self._end("ROLLBACK")
            except Exception as lost:  # the connection goes, and the transaction with it: as good as a ROLLBACK
                refusal.add_note(f"ROLLBACK: {type(lost).__name__}: {lost}")
            raise
        await self._end("COMMIT")

    async def _end(self, how: str) -> None:
        try:
            done = await self._driver.execute(how)
        except asyncpg.PostgresError as refused:
            self.has_ended = is_refusal(refused)
            raise
        self.has_ended = True
        if done != how:
            # PostgreSQL takes a COMMIT behind a statement that failed for a ROLLBACK, and does not call it an error.
            raise asyncpg.InFailedSQLTransactionError("a statement had failed: nothing was committed")


def compile_statement(dialect: Dialect, statement: Statement) -> Compiled:
    """``statement`` in the SQL of ``dialect``.

    Raises:
        TypeError: a selected column is of a type that the driver gives in another form than SQLAlchemy.
    """
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    for name, column in statement.selected_columns.items() if isinstance(statement, Select) else ():
        if column.type.dialect_impl(dialect).result_processor(dialect, None) is not None:
            raise TypeError(f"{name} is of a type that has to be converted: {column.type!r}")
    processors = {
        name: bound.type.dialect_impl(dialect).bind_processor(dialect) for name, bound in compiled.binds.items()
    }
    converters = {name: processor for name, processor in processors.items() if processor is not None}
    values = {name: value for name, value in compiled.params.items() if not compiled.binds[name].required}
    return Compiled(compiled.string, compiled.positiontup or (), values, converters)


def is_refusal(error: asyncpg.PostgresError) -> bool:
    """Whether a statement was refused, and the connection is there for the next one.

    The server says so; the driver itself does not say how bad it is, where it refuses a value before it asks.
    """
    return error.severity_en in ("ERROR", None) and not isinstance(error, asyncpg.PostgresConnectionError)


def as_views(view: type[V], fields: Iterable[str], rows: Iterable[Iterable[Any]]) -> list[V]:
    """Wire models of ``rows``, whose first columns are the model's ``fields``.

    One call into pydantic for the whole list is three times as fast as ``model_construct`` for each row.
    """
    names = tuple(fields)
    return _list_of(view).validate_python([dict(zip(names, row, strict=False)) for row in rows])


@cache
def _list_of(view: type[V]) -> TypeAdapter[list[V]]:
    return TypeAdapter(list[view])  # type: ignore[valid-type]
