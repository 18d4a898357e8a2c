"""A dead letter: a message that a consumer has given up, and why. What is in its headers is the stages' word."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

# As stages write them (``order/messages.py``).
REQUEST_ID, REASON, ATTEMPTS = "request-id", "reason", "attempts"

# On the topic of the dead, a record without a value that has this header is no letter: it says which one was replayed.
REPLAYED = "replayed"

_NO_VALUE = "-"


@dataclass(frozen=True)
class Record:
    """What the broker keeps of one message."""

    partition: int
    offset: int
    at: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def id(self) -> str:
        return f"{self.partition}/{self.offset}"

    def header(self, name: str) -> str | None:
        """The text of a header; None if there is none."""
        found = next((value for header, value in self.headers if header == name), None)
        return None if found is None else found.decode(errors="replace")


@dataclass(frozen=True)
class Letter:
    """A dead letter, and how often it has been replayed."""

    record: Record
    replays: int = 0

    @property
    def id(self) -> str:
        """``partition/offset``: it never changes."""
        return self.record.id

    @property
    def booking(self) -> str:
        """The booking that it is about, as far as it can be read."""
        try:
            body = json.loads(self.record.value or b"")
        except ValueError:
            return _NO_VALUE
        number = body.get("bookingId") if isinstance(body, dict) else None
        return str(number) if isinstance(number, int) else _NO_VALUE

    @property
    def reason(self) -> str:
        return self.record.header(REASON) or _NO_VALUE

    @property
    def attempts(self) -> str:
        """How often the work was tried; 0 for what could not be read."""
        return self.record.header(ATTEMPTS) or _NO_VALUE

    @property
    def request_id(self) -> str:
        return self.record.header(REQUEST_ID) or _NO_VALUE

    @property
    def original_headers(self) -> list[tuple[str, bytes]]:
        """Those that the message had before it died."""
        return [(name, value) for name, value in self.record.headers if name not in (REASON, ATTEMPTS)]


def letters(records: Iterable[Record]) -> list[Letter]:
    """The dead letters among the records of their topic, oldest first, with their replays counted."""
    kept = list(records)
    replays = Counter(record.header(REPLAYED) for record in kept if record.header(REPLAYED) is not None)
    return [Letter(record, replays[record.id]) for record in kept if record.header(REPLAYED) is None]


@dataclass
class _Column:
    title: str
    cells: list[str] = field(default_factory=list)

    @property
    def width(self) -> int:
        return max(map(len, (self.title, *self.cells)))


def table(found: Iterable[Letter], now: datetime | None = None) -> str:
    """One line for each letter; the reason last, on one line."""
    titles = ("id", "booking", "attempts", "replays", "age", "request id", "reason")
    rows = [
        (one.id, one.booking, one.attempts, str(one.replays), _age(one, now), one.request_id, _line(one.reason))
        for one in found
    ]
    columns = [_Column(title, [row[place] for row in rows]) for place, title in enumerate(titles)]
    lines = [titles, *rows]
    return "\n".join(
        "  ".join(cell.ljust(column.width) for cell, column in zip(line, columns, strict=True)).rstrip()
        for line in lines
    )


def description(one: Letter) -> str:
    """Everything that is known of a letter."""
    fields: dict[str, Any] = {
        "id": one.id,
        "died": one.record.at.isoformat(timespec="milliseconds"),
        "age": _age(one),
        "booking": one.booking,
        "reason": one.reason,
        "attempts": one.attempts,
        "request id": one.request_id,
        "replays": one.replays,
        "key": _text(one.record.key),
        "message": _text(one.record.value),
    }
    named = (REASON, ATTEMPTS, REQUEST_ID)
    fields |= {f"header {name}": _text(value) for name, value in one.record.headers if name not in named}
    width = max(map(len, fields))
    indent = "\n" + " " * (width + 2)
    return "\n".join(f"{name:<{width}}  {indent.join(str(value).splitlines())}" for name, value in fields.items())


def _age(one: Letter, now: datetime | None = None) -> str:
    seconds = int(((now or datetime.now(UTC)) - one.record.at).total_seconds())
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"


def _line(text: str, longest: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _text(content: bytes | None) -> str:
    """Text as it is, anything else as Python writes bytes."""
    if content is None:
        return _NO_VALUE
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return repr(content)
    return text if text.isprintable() else repr(content)
