"""``Idempotency-Key``: a request that is repeated gets the answer that it got the first time, byte for byte.

A success is stored in the transaction of the work, so that there is never one without the other. A refusal (4xx) has
written nothing: its transaction, if it came to one, is rolled back, and it is stored by itself. What ends with 503
leaves nothing behind, and may be tried again under the same key. A repetition that arrives during the first request
waits at the key's row until that transaction has ended. What cannot even be read as a request binds no key.

Work in one transaction (``once``) is done before the key is looked at: if the key turns out to be answered already, the
transaction is rolled back. That costs a first request, which most are, one INSERT and nothing else; and in a
serializable transaction it matters that keys are never searched for, since what is read there is what others conflict
with. Work that asks the payment provider in the middle (``resumable``) has two transactions: the first commits the
intent, and the key without an answer; whoever repeats the request goes on from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Request
from pydantic import BaseModel, StringConstraints
from sqlalchemy import text

from common.database import Database
from common.errors import IdempotencyKeyReused, PlatformError, ServiceUnavailable
from common.identity import require_user
from common.statements import Statements, Transaction
from common.wire import JSONBytes, failure, ok

KEPT_SECONDS = 24 * 60 * 60  # as the statements below have it

KeyHeader = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=255)] | None,
    Header(alias="Idempotency-Key", description="1 to 255 characters; repeats the first answer for 24 hours"),
]

# Takes the place of a key that has outlived its time; a live one is left alone, and waited for if need be.
_INSERT = text("""
    INSERT INTO idempotency_keys AS earlier (user_id, key, request_hash, status, body)
    VALUES (:user_id, :key, :request_hash, :status, :body)
    ON CONFLICT (user_id, key) DO UPDATE
    SET request_hash = excluded.request_hash, status = excluded.status, body = excluded.body, created_at = now()
    WHERE earlier.created_at < now() - interval '24 hours'
    RETURNING true
""")
_FIND = text("""
    SELECT request_hash, status, body FROM idempotency_keys
    WHERE user_id = :user_id AND key = :key AND created_at >= now() - interval '24 hours'
""")
_ANSWER = text("""
    UPDATE idempotency_keys SET status = :status, body = :body
    WHERE user_id = :user_id AND key = :key AND request_hash = :request_hash AND status IS NULL
""")

Work = Callable[[Transaction], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Whose key it is, and for which request."""

    user_id: int
    key: str
    request_hash: str

    @classmethod
    def of(cls, user_id: int, key: str, method: str, path: str, body: BaseModel | None = None) -> RequestKey:
        """The key of what a user asked for, whichever way the request has come here."""
        # json.dumps escapes what is no Unicode, such as half a surrogate pair, where pydantic would refuse it.
        content = "" if body is None else json.dumps(body.model_dump())
        return cls(user_id, key, hashlib.sha256(f"{method}\n{path}\n{content}".encode()).hexdigest())


class _UsedBefore(ServiceUnavailable):
    """The key is not new: what has just been done again must be undone."""


def request_key(request: Request, header: str | None, body: BaseModel | None = None) -> RequestKey | None:
    """The key of a request, if it has one."""
    if header is None:
        return None
    return RequestKey.of(require_user().user_id, header, request.method, request.url.path, body)


async def in_transaction(database: Database, work: Work) -> Any:
    """What ``work`` returns, once it has been committed."""
    async with database.transaction() as transaction:
        return await work(transaction)


async def once(
    database: Database,
    key: RequestKey | None,
    work: Work,
    *,
    transact: Callable[[Database, Work], Awaitable[Any]] = in_transaction,
) -> JSONBytes:
    """The answer to a request that is done in one transaction.

    Args:
        work: returns the answer's data.
        transact: does work in a transaction, which it rolls back if work raises; it may do it again after a conflict.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
        PlatformError: what ``work`` and ``transact`` raise, if the key has no earlier answer.
    """
    if key is None:
        return ok(await transact(database, work))

    async def keyed(transaction: Transaction) -> JSONBytes:
        answer = ok(await work(transaction))
        if not await _insert(transaction, key, answer):
            raise _UsedBefore
        return answer

    try:
        answer: JSONBytes = await transact(database, keyed)
    except PlatformError as error:
        return await refuse(database, key, error)
    return answer


async def resumable(
    database: Database,
    key: RequestKey | None,
    intend: Callable[[Transaction], Awaitable[None]],
    follow: Callable[[], Awaitable[None]],
) -> JSONBytes:
    """The answer (``{}``, or a refusal) to a request that asks the payment provider.

    Args:
        intend: writes down what is to be done; or raises the contract's error, and nothing is written.
        follow: does it, from wherever it was left; raises ServiceUnavailable if it cannot come to an end now.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
        PlatformError: what ``intend`` and ``follow`` raise, if the key has no earlier answer.
    """
    if key is None:
        async with database.transaction() as transaction:
            await intend(transaction)
        await follow()
        return ok()

    try:
        async with database.transaction() as transaction:
            if await _insert(transaction, key, None):
                await intend(transaction)
            elif (stored := await _find(transaction, key)) is not None:
                return stored
    except PlatformError as error:
        return await refuse(database, key, error)
    return await _conclude(database, key, follow)


async def refuse(database: Database, key: RequestKey | None, error: PlatformError) -> JSONBytes:
    """The first answer, if the request is a repetition; else ``error``, stored to be repeated if it is a 4xx.

    Nothing of the request may have been written, or all of it has been rolled back.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
        PlatformError: ``error``.
    """
    if key is None:
        raise error
    if error.status < 500 and await _insert(database, key, failure(error)):
        raise error
    stored = await _find(database, key)
    if stored is None:
        raise error
    return stored


async def _conclude(database: Database, key: RequestKey, follow: Callable[[], Awaitable[None]]) -> JSONBytes:
    """Stores what ``follow`` comes to under a key that has no answer yet; the answer that is stored."""
    try:
        await follow()
        answer = ok()
    except PlatformError as refusal:
        if refusal.status >= 500:
            raise
        answer = failure(refusal)
    await database.rows(_ANSWER, **_row(key, answer))
    return await _find(database, key) or answer


async def _insert(statements: Statements, key: RequestKey, answer: JSONBytes | None) -> bool:
    """Whether the key was new; waits while another transaction has it."""
    return await statements.row(_INSERT, **_row(key, answer)) is not None


async def _find(statements: Statements, key: RequestKey) -> JSONBytes | None:
    """The answer that is stored under a key; None if there is no such key, or no answer yet."""
    found = await statements.row(_FIND, user_id=key.user_id, key=key.key)
    if found is None:
        return None
    if found.request_hash != key.request_hash:
        raise IdempotencyKeyReused
    return None if found.status is None else JSONBytes(found.body.encode(), status_code=found.status)


def _row(key: RequestKey, answer: JSONBytes | None) -> dict[str, Any]:
    return {
        "user_id": key.user_id,
        "key": key.key,
        "request_hash": key.request_hash,
        "status": None if answer is None else answer.status_code,
        "body": None if answer is None else bytes(answer.body).decode(),
    }
