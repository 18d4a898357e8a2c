"""``Idempotency-Key``: a request that is repeated gets the answer that it got the first time, byte for byte.

The answer is stored in the transaction of the work, so that there is never one without the other. 2xx and 4xx are
stored; what ends with 503 leaves nothing behind, and may be tried again under the same key. A repetition that arrives
during the first request waits at the key's row until that transaction has ended.

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
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from common.database import Database
from common.errors import IdempotencyKeyReused, PlatformError, ServiceUnavailable
from common.identity import require_user
from common.wire import JSONBytes, failure, ok

TRIMMED_AT_ONCE = 1_000

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
    WHERE user_id = :user_id AND key = :key AND status IS NULL
""")
_TRIM = text("""
    DELETE FROM idempotency_keys WHERE (user_id, key) IN (
        SELECT user_id, key FROM idempotency_keys WHERE created_at < now() - interval '24 hours'
        LIMIT :at_once FOR UPDATE SKIP LOCKED
    )
""")


@dataclass(frozen=True, slots=True)
class RequestKey:
    """Whose key it is, and for which request."""

    user_id: int
    key: str
    request_hash: str


class _UsedBefore(ServiceUnavailable):
    """The key is not new: what has just been done again must be undone."""


def request_key(request: Request, header: str | None, body: BaseModel | None = None) -> RequestKey | None:
    """The key of a request, if it has one."""
    if header is None:
        return None
    # json.dumps escapes what is no Unicode, such as half a surrogate pair, where pydantic would refuse it.
    content = "" if body is None else json.dumps(body.model_dump())
    written = f"{request.method}\n{request.url.path}\n{content}"
    return RequestKey(require_user().user_id, header, hashlib.sha256(written.encode()).hexdigest())


Work = Callable[[AsyncSession], Awaitable[Any]]


async def in_transaction(database: Database, work: Work) -> Any:
    """What ``work`` returns, once it has been committed."""
    async with database.transaction() as session:
        return await work(session)


async def once(
    database: Database,
    key: RequestKey | None,
    work: Work,
    *,
    transact: Callable[[Database, Work], Awaitable[Any]] = in_transaction,
) -> JSONBytes:
    """The answer to a request that is done in one transaction.

    Args:
        work: returns the answer's data; or raises the contract's error before it has written anything.
        transact: does work in a transaction; it may do it again after a conflict with others.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
        PlatformError: what ``work`` and ``transact`` raise, if there is no key or it is 5xx.
    """
    if key is None:
        return ok(await transact(database, work))

    async def keyed(session: AsyncSession) -> JSONBytes:
        answer = await _answered(work(session))
        if not await _insert(session, key, answer):
            raise _UsedBefore
        return answer

    try:
        answer: JSONBytes = await transact(database, keyed)
    except ServiceUnavailable:
        async with database.reading() as connection:
            stored = await _find(connection, key)
        if stored is None:
            raise
        return stored
    return answer


async def resumable(
    database: Database,
    key: RequestKey | None,
    intend: Callable[[AsyncSession], Awaitable[None]],
    follow: Callable[[], Awaitable[None]],
) -> JSONBytes:
    """The answer (``{}``, or a refusal) to a request that asks the payment provider.

    Args:
        intend: writes down what is to be done; or raises the contract's error before it has written anything.
        follow: does it, from wherever it was left; raises ServiceUnavailable if it cannot come to an end now.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
        PlatformError: what ``intend`` and ``follow`` raise, if there is no key or it is 5xx.
    """
    if key is None:
        async with database.transaction() as session:
            await intend(session)
        await follow()
        return ok()

    async with database.transaction() as session:
        if await _insert(session, key, None):
            answer = await _answered(intend(session))
            if answer.status_code != 200:
                return await _answer(session, key, answer)
        elif (stored := await _find(session, key)) is not None:
            return stored
    answer = await _answered(follow())
    async with database.transaction() as session:
        return await _answer(session, key, answer)


async def trim(database: Database) -> bool:
    """Forgets keys that have outlived their time; whether there may be more of them."""
    async with database.reading() as connection:
        return (await connection.execute(_TRIM, {"at_once": TRIMMED_AT_ONCE})).rowcount == TRIMMED_AT_ONCE


async def _answered(work: Awaitable[Any]) -> JSONBytes:
    """What ``work`` comes to; a refusal is an answer, too."""
    try:
        return ok(await work)
    except PlatformError as refusal:
        if refusal.status >= 500:
            raise
        return failure(refusal)


async def _insert(session: AsyncSession, key: RequestKey, answer: JSONBytes | None) -> bool:
    """Whether the key was new; waits while another transaction has it."""
    values = {
        "user_id": key.user_id,
        "key": key.key,
        "request_hash": key.request_hash,
        "status": None if answer is None else answer.status_code,
        "body": None if answer is None else bytes(answer.body).decode(),
    }
    return (await session.execute(_INSERT, values)).first() is not None


async def _find(connection: AsyncSession | AsyncConnection, key: RequestKey) -> JSONBytes | None:
    """The answer that is stored under a key; None if there is no such key, or no answer yet."""
    found = (await connection.execute(_FIND, {"user_id": key.user_id, "key": key.key})).one_or_none()
    if found is None:
        return None
    if found.request_hash != key.request_hash:
        raise IdempotencyKeyReused
    return None if found.status is None else JSONBytes(found.body.encode(), status_code=found.status)


async def _answer(session: AsyncSession, key: RequestKey, answer: JSONBytes) -> JSONBytes:
    """Stores the answer under a key that has none yet; the one that is stored."""
    values = {"user_id": key.user_id, "key": key.key}
    await session.execute(_ANSWER, {**values, "status": answer.status_code, "body": bytes(answer.body).decode()})
    return await _find(session, key) or answer
