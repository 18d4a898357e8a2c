"""``Idempotency-Key`` as Toss documents it.

A request is the same if key, address and method are (the API key too, but the simulator has one merchant). The body is
not compared: the same key with another body gets the first answer again. A key is good for 15 days.

Answers of 2xx and of 4xx that the ledger gave are stored, in the transaction of the work. What is not an answer to the
request itself is not: a body that could not be read (400), 401, 409, and every 5xx. Toss does not say how it treats
5xx; here the work was not done (or was rolled back), and the same key may be used again for it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from payment_simulator.errors import Refusal, TossError

MAX_CHARACTERS = 300
LIFETIME_MS = 15 * 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class Answer:
    """What goes back: HTTP status and JSON body."""

    status: int
    body: bytes


@dataclass(frozen=True)
class IdempotencyKey:
    """A key where it was used, and the digest of the body that came with it, kept for audits."""

    address: str
    key: str
    request_sha256: str


def read_key(header: str | None, method: str, path: str, body: bytes) -> IdempotencyKey | None:
    """The request's key, if it has one; raises Refusal (INVALID_IDEMPOTENCY_KEY) if it is too long."""
    if not header:
        return None
    if len(header) > MAX_CHARACTERS:
        raise Refusal(TossError.INVALID_IDEMPOTENCY_KEY)
    return IdempotencyKey(f"{method} {path}", header, hashlib.sha256(body).hexdigest())


class InProgress:
    """The keys whose first request is being worked on. A restart forgets them, and what they had not committed."""

    def __init__(self) -> None:
        self._keys: set[tuple[str, str]] = set()

    @contextmanager
    def hold(self, key: IdempotencyKey | None) -> Iterator[None]:
        """Refuses (IDEMPOTENT_REQUEST_PROCESSING) a key that is held already."""
        if key is None:
            yield
            return
        identity = (key.address, key.key)
        if identity in self._keys:
            raise Refusal(TossError.IDEMPOTENT_REQUEST_PROCESSING)
        self._keys.add(identity)
        try:
            yield
        finally:
            self._keys.discard(identity)


def stored_answer(connection: sqlite3.Connection, key: IdempotencyKey, now_ms: int) -> Answer | None:
    """The first answer to the request of that key, if there was one within the key's lifetime."""
    row = connection.execute(
        "SELECT status, body FROM idempotency_keys WHERE address = ? AND key = ? AND created_ms > ?",
        (key.address, key.key, now_ms - LIFETIME_MS),
    ).fetchone()
    return None if row is None else Answer(row[0], row[1].encode())


def store_answer(connection: sqlite3.Connection, key: IdempotencyKey, answer: Answer, now_ms: int) -> None:
    """Keeps the answer, over one whose lifetime has ended."""
    connection.execute(
        "INSERT INTO idempotency_keys (address, key, request_sha256, status, body, created_ms)"
        " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (address, key) DO UPDATE SET request_sha256 = excluded.request_sha256,"
        " status = excluded.status, body = excluded.body, created_ms = excluded.created_ms",
        (key.address, key.key, key.request_sha256, answer.status, answer.body.decode(), now_ms),
    )
