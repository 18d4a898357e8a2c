"""Every kind of entry that the service on the path has, and values of its type."""

from __future__ import annotations

from datetime import date, time
from typing import Any, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel

from common.wire import INT64_MAX, WireModel
from concert import schedules
from concert.api import concerts
from concert.api import schedules as schedule_calls
from concert.cache_entries import Kind

KINDS: dict[str, Kind[Any]] = {
    kind.name: kind
    for module in (concerts, schedules, schedule_calls)
    for kind in vars(module).values()
    if isinstance(kind, Kind)
}


class Old(WireModel):
    """An element as a version of tomorrow would find it."""

    id: int
    name: str


def shape(kind: Kind[Any]) -> Any:
    """The type of a kind's values, as it was given."""
    return kind._adapter._type


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """Whatever a value of this type can be: all numbers, all text, all dates and times to the second."""
    if get_origin(annotation) is list:
        return st.lists(values(*get_args(annotation)), max_size=5)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {name: values(field.annotation) for name, field in annotation.model_fields.items()}
        return st.fixed_dictionaries(fields).map(lambda content: annotation.model_validate(content))
    return _SCALARS[annotation]


_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-INT64_MAX - 1, INT64_MAX),
    str: st.text(),
    date: st.dates(),
    time: st.times().map(lambda moment: moment.replace(microsecond=0)),
}
