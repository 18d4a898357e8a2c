"""Which column each field of a wire model shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic.alias_generators import to_camel
from sqlalchemy import select
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute

from common.statements import Rows
from common.wire import WireModel

W = TypeVar("W", bound=WireModel)


class Fields(Generic[W]):
    """The columns behind a wire model, said once for what is read and for what has just been written."""

    def __init__(self, view: type[W], **columns: InstrumentedAttribute[Any]) -> None:
        """``columns`` are those of one table, by the names of the view's fields."""
        self._view = view
        self._columns = columns

    def select(self) -> Rows:
        """The statement that reads them from every row."""
        return select(*(column.label(field) for field, column in self._columns.items()))

    def view(self, row: DeclarativeBase) -> W:
        """A row of a session as the view."""
        return self._view.model_validate({field: getattr(row, column.key) for field, column in self._columns.items()})

    def sortable(self, *, without: str) -> Mapping[str, InstrumentedAttribute[Any]]:
        """The columns by their names on the wire, for ``PageQuery``."""
        return {to_camel(field): column for field, column in self._columns.items() if field != without}
