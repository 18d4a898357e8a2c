"""What a client may be told while something is broken: an answer of the contract, or that it should come back later."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx

from common.errors import PlatformError
from scenarios.model import Attempt


def _errors(of: type[PlatformError]) -> Iterator[type[PlatformError]]:
    for error in of.__subclasses__():
        yield error
        yield from _errors(error)


# HTTP status and code of every refusal in the contract's table. 500 is in it, and is never right.
REFUSALS = frozenset((error.status, error.code) for error in _errors(PlatformError) if 400 <= error.status < 500)
UNAVAILABLE = (503, 5000)


def breach(answer: httpx.Response) -> str | None:
    """What is wrong with an answer; None if it is one of the contract's."""
    try:
        content = answer.json()
        code, message = content["code"], content["message"]
        told = (answer.status_code, code)
        whole = list(content) == ["code", "message", "data"] and bool(message)
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code} without the envelope: {answer.text[:200]!r}"
    if not whole:
        return f"HTTP {answer.status_code} with an envelope of its own: {answer.text[:200]!r}"
    if told == UNAVAILABLE and not _says_when(answer):
        return "HTTP 503 without Retry-After"
    return None if is_of_contract(*told) else f"HTTP {told[0]}, code {told[1]}"


def breaches(attempts: Sequence[Attempt], *, may_drop: bool) -> list[str]:
    """What is wrong with the answers that the load got to its changes.

    Args:
        may_drop: whether a client may have been left without any answer.
    """
    found = []
    for attempt in attempts:
        if attempt.status == 0:
            if not may_drop:
                found.append(f"{attempt.method} {attempt.path}: no answer")
        elif attempt.code is None or not is_of_contract(attempt.status, attempt.code):
            found.append(f"{attempt.method} {attempt.path}: HTTP {attempt.status}: {attempt.body[:200]!r}")
    return found


def is_of_contract(status: int, code: int) -> bool:
    """Whether a client may be told this while something is broken; 500 it may not."""
    return (status in (200, 202) and code == 0) or (status, code) in REFUSALS or (status, code) == UNAVAILABLE


def _says_when(answer: httpx.Response) -> bool:
    seconds = answer.headers.get("retry-after", "")
    return bool(seconds.isdecimal() and int(seconds) >= 1)
