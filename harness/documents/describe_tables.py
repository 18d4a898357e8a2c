"""The tables of the stage that is on the path, as its models have them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from sqlalchemy import Column, MetaData, Table
from sqlalchemy.dialects import postgresql

from harness.launch.environment import DATABASES


def describe(package: str) -> list[dict[str, Any]]:
    """The tables of one service, in the order of their names."""
    metadata: MetaData = import_module(f"{package}.models").Base.metadata
    return [_table(metadata.tables[name]) for name in sorted(metadata.tables)]


def _table(table: Table) -> dict[str, Any]:
    columns = [_column(column) for column in table.columns]
    indexes = sorted(_index(index) for index in table.indexes)
    return {"name": table.name, "columns": columns, "indexes": indexes}


def _column(column: Column[Any]) -> dict[str, Any]:
    references = [key.target_fullname.partition(".")[0] for key in column.foreign_keys]
    return {
        "name": column.name,
        "type": column.type.compile(dialect=postgresql.dialect()).lower(),  # type: ignore[no-untyped-call]
        "primary_key": column.primary_key,
        "nullable": bool(column.nullable),
        "references": references[0] if references else None,
        "comment": column.comment or "",
    }


def _index(index: Any) -> str:
    columns = ", ".join(column.name for column in index.columns)
    condition = index.dialect_options["postgresql"]["where"]
    unique = "unique " if index.unique else ""
    return f"{unique}({columns})" + (f" where {condition.text}" if condition is not None else "")


def describe_all() -> dict[str, list[dict[str, Any]]]:
    """Database to its tables."""
    return {database: describe(package) for package, database in DATABASES.items()}
