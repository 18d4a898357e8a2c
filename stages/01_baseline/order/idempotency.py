"""``Idempotency-Key``: a request that is repeated gets the answer that it got the first time, byte for byte.

The answer is stored in the transaction of the work, so that there is never one without the other. A repetition that
arrives during the first request waits at the key's row until that transaction has ended. 2xx and 4xx are stored; what
ends with 503 leaves nothing behind, and may be tried again under the same key.

Work that asks the payment provider in the middle has two transactions (``resumable``). The first commits the intent and
the key without an answer; whoever repeats the request then goes on from there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Header, Request
from pydantic import BaseModel, StringConstraints
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from common.database import Database
from common.errors import IdempotencyKeyReused, PlatformError
from common.identity import require_user
from common.wire import JSONBytes, failure, ok

T = TypeVar("T")

TRIMMED_AT_ONCE = 1_000

KeyHeader = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=255)] | None,
    Header(alias="Idempotency-Key", description="1 to 255 characters; repeats the first answer for 24 hours"),
]

# Takes the place of a key that has outlived its time; a live one is left alone, and waited for if need be.
_CLAIM = text("""
    INSERT INTO idempotency_keys AS earlier (user_id, key, request_hash) VALUES (:user_id, :key, :request_hash)
    ON CONFLICT (user_id, key) DO UPDATE
    SET request_hash = excluded.request_hash, status = NULL, body = NULL, created_at = now()
    WHERE earlier.created_at < now() - interval '24 hours'
    RETURNING true
""")
_FIND = text("""
    SELECT request_hash, status, body FROM idempotency_keys WHERE user_id = :user_id AND key = :key
""")
_STORE = text("""
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


@dataclass(frozen=True, slots=True)
class _Claim:
    """What was found under a key: nothing (``fresh``), the answer, or a request that has not come to its answer."""

    fresh: bool
    answer: JSONBytes | None = None


def request_key(request: Request, header: str | None, body: BaseModel | None = None) -> RequestKey | None:
    """The key of a request, if it has one."""
    if header is None:
        return None
    content = "" if body is None else body.model_dump_json(by_alias=True)
    text = f"{request.method}\n{request.url.path}\n{content}"
    return RequestKey(require_user().user_id, header, hashlib.sha256(text.encode()).hexdigest())


Work = Callable[[AsyncSession], Awaitable[Any]]


async def in_transaction(database: Database, work: Work) -> Any:
    """Does work in a transaction of its own."""
    async with database.transaction() as session:
        return await work(session)


async def once(transact: Callable[[Work], Awaitable[Any]], key: RequestKey | None, work: Work) -> JSONBytes:
    """The answer to a request that is done in one transaction.

    Args:
        transact: does work in a transaction and returns its result; it may do it again after a conflict.
        work: returns the answer's data; or raises the contract's error before it has written anything.

    Raises:
        IdempotencyKeyReused: the key belongs to another request.
        PlatformError: what ``work`` raises, if there is no key or it is 5xx.
    """
    if key is None:
        return ok(await transact(work))

    async def keyed(session: AsyncSession) -> JSONBytes:
        claim = await _claim(session, key)
        if claim.answer is not None:
            return claim.answer
        answer = await _answered(session, work)
        await _store(session, key, answer)
        return answer

    answer: JSONBytes = await transact(keyed)
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
        claim = await _claim(session, key)
        if claim.answer is not None:
            return claim.answer
        if claim.fresh:
            answer = await _answered(session, intend)
            if answer.status_code != 200:
                await _store(session, key, answer)
                return answer
    try:
        await follow()
        answer = ok()
    except PlatformError as refusal:
        if refusal.status >= 500:
            raise
        answer = failure(refusal)
    async with database.transaction() as session:
        await _store(session, key, answer)
        # Another repetition may have been first.
        return (await _claim(session, key)).answer or answer


async def trim(database: Database) -> bool:
    """Forgets keys that have outlived their time; whether there may be more of them."""
    async with database.reading() as connection:
        return (await connection.execute(_TRIM, {"at_once": TRIMMED_AT_ONCE})).rowcount == TRIMMED_AT_ONCE


async def _claim(session: AsyncSession, key: RequestKey) -> _Claim:
    """Takes the key for this transaction; waits while another transaction has it."""
    values = {"user_id": key.user_id, "key": key.key}
    if (await session.execute(_CLAIM, {**values, "request_hash": key.request_hash})).first() is not None:
        return _Claim(fresh=True)
    stored = (await session.execute(_FIND, values)).one()
    if stored.request_hash != key.request_hash:
        raise IdempotencyKeyReused
    if stored.status is None:
        return _Claim(fresh=False)
    return _Claim(fresh=False, answer=JSONBytes(stored.body.encode(), status_code=stored.status))


async def _answered(session: AsyncSession, work: Work) -> JSONBytes:
    """What ``work`` comes to; a refusal is an answer, too, and stored with the key."""
    try:
        return ok(await work(session))
    except PlatformError as refusal:
        if refusal.status >= 500:
            raise
        return failure(refusal)


async def _store(session: AsyncSession, key: RequestKey, answer: JSONBytes) -> None:
    values = {"user_id": key.user_id, "key": key.key}
    await session.execute(_STORE, {**values, "status": answer.status_code, "body": bytes(answer.body).decode()})
