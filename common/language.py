"""The language of one answer's ``message``: Korean unless the client prefers English.

Clients decide by ``code``, never by text, so two languages and a simple rule are enough: the first of ``ko`` and
``en`` in ``Accept-Language`` wins (RFC 9110, 12.5.4, quality values compared).
"""

from __future__ import annotations

from contextvars import ContextVar
from enum import StrEnum
from functools import lru_cache


class Language(StrEnum):
    KOREAN = "ko"
    ENGLISH = "en"


_current: ContextVar[Language] = ContextVar("language", default=Language.KOREAN)


def current_language() -> Language:
    """The language that the request being served asked for."""
    return _current.get()


def use_language(accept_language: str) -> None:
    """Sets the language for the rest of this request from its ``Accept-Language`` header (empty: Korean)."""
    _current.set(negotiate(accept_language) if accept_language else Language.KOREAN)


@lru_cache(maxsize=256)
def negotiate(accept_language: str) -> Language:
    """Chooses the language for an ``Accept-Language`` value; what cannot be read counts as Korean."""
    best, best_quality = Language.KOREAN, 0.0
    for part in accept_language.split(","):
        tag, _, parameter = part.strip().partition(";")
        primary = tag.strip().lower().split("-")[0]
        try:
            quality = float(parameter.strip().lower().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            continue
        if primary in (Language.KOREAN, Language.ENGLISH) and quality > best_quality:
            best, best_quality = Language(primary), quality
    return best
