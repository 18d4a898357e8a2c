"""Why the original could not read its own pages, and why writing class names into the data is no way out.

``original/`` has the failure itself: Spring Data's page and serializer, and what they say. This is the essence of it,
with the same three properties: a page is built by a constructor that needs arguments, its serializer writes all of its
getters, and its reader makes an object with no arguments and then sets what it has read.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_CLASS = "@class"


class CannotConstruct(Exception):
    """The class that the data names has no constructor that the reader can call."""


class PageImpl(Generic[T]):
    """A page as Spring Data has it: made of its content, the request and the total, and never without them."""

    def __init__(self, content: list[T], number: int, size: int, total: int) -> None:
        self.content = content
        self.number = number
        self.size = size
        self.total_elements = total
        self.total_pages = -(-total // size)

    def has_next(self) -> bool:
        """Whether another page follows."""
        return self.number + 1 < self.total_pages


class Concert:
    """An element, with the constructor without arguments that a bean has."""

    def __init__(self) -> None:
        self.id = 0
        self.name = ""


class Untyped:
    """A JSON serializer that writes what a page holds, and not that it is one (``new ObjectMapper()``)."""

    def serialize(self, value: object) -> bytes:
        return json.dumps(value, default=vars, ensure_ascii=False).encode()

    def deserialize(self, stored: bytes) -> Any:
        return json.loads(stored)


class DefaultTyping:
    """One that writes the class of every object beside its fields, and believes what it reads there.

    The idea of ``GenericJackson2JsonRedisSerializer``'s default typing, with no list of classes that are allowed.
    """

    def serialize(self, value: object) -> bytes:
        return json.dumps(value, default=self._with_class, ensure_ascii=False).encode()

    def deserialize(self, stored: bytes) -> Any:
        """
        Raises:
            CannotConstruct: the data names a class that cannot be made without arguments.
        """
        return json.loads(stored, object_hook=self._object)

    @staticmethod
    def _with_class(value: object) -> dict[str, Any]:
        return {_CLASS: f"{type(value).__module__}.{type(value).__qualname__}", **vars(value)}

    @staticmethod
    def _object(fields: dict[str, Any]) -> Any:
        module, _, name = fields.pop(_CLASS).rpartition(".")
        # Here somebody who can write into the cache chooses which code runs in the service.
        named = getattr(import_module(module), name)
        try:
            made = named()
        except TypeError as needs_arguments:
            raise CannotConstruct(f"cannot construct instance of {name}: {needs_arguments}") from needs_arguments
        for field, value in fields.items():
            setattr(made, field, value)
        return made
