"""SQLAlchemy's statements as their driver takes them, for who asks the driver itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Dialect, Select, TextClause
from sqlalchemy.sql.compiler import SQLCompiler


class Compiled(NamedTuple):
    """A statement as the driver takes it.

    Attributes:
        names: of its parameters, in the order of their numbers.
        values: of those that the statement itself has.
        converters: of those whose type is not the driver's own.
    """

    sql: str
    names: Sequence[str]
    values: Mapping[str, Any]
    converters: Mapping[str, Callable[[Any], Any]]

    def arguments(self, parameters: Mapping[str, Any]) -> list[Any]:
        """All that the statement takes, in order."""
        values = {**self.values, **parameters}
        for name, convert in self.converters.items():
            values[name] = convert(values[name])
        return [values[name] for name in self.names]


def compile_statement(dialect: Dialect, statement: Select[*tuple[Any, ...]] | TextClause) -> Compiled:
    """``statement`` in the SQL of ``dialect``.

    Raises:
        TypeError: a column is of a type that the driver gives in another form than SQLAlchemy.
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
    return Compiled(compiled.string, compiled.positiontup or (), compiled.params, converters)
