"""Idempotency keys where the database itself refuses the work, as a unique index does; and what a key is for."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from common.database import Database, violations_as
from common.errors import IdempotencyKeyReused, InvalidInput, SeatAlreadyBooked, ServiceUnavailable
from common.statements import Transaction
from order.idempotency import RequestKey, Work, in_transaction, once, refuse, resumable
from order.resources import Resources
from order.schemas import BookingRequest
from tests.unit.stages.order.in_service import InService

WRITE = text("INSERT INTO refunds (payment_id, amount, idempotency_key) VALUES (:payment, 1, :name)")
PAYMENT = text("""
    INSERT INTO payments (user_id, concert_id, schedule_id, total_price, status) VALUES (1, 1, 1, 1, 'WAITING')
    RETURNING id
""")
WRITTEN = text("SELECT count(*) FROM refunds WHERE idempotency_key = :name")


async def write(transaction: Transaction, name: str) -> list[str]:
    """Work that can be done once for each name: the database refuses a second time, and with it the transaction."""
    (payment,) = await transaction.rows(PAYMENT)
    with violations_as({"uq_refunds_idempotency_key": SeatAlreadyBooked}):
        await transaction.rows(WRITE, payment=payment.id, name=name)
    return [name]


async def written(database: Database, name: str) -> int:
    ((count,),) = await database.rows(WRITTEN, name=name)
    return int(count)


async def serializably(database: Database, work: Work) -> Any:
    """As bookings are made where the transaction is the guard."""
    async with database.transaction("SERIALIZABLE") as transaction:
        return await work(transaction)


@pytest.mark.parametrize("transact", [in_transaction, serializably])
def test_what_the_database_refuses_is_refused_again(transact: Any, in_service: InService) -> None:
    name = f"refused-{transact.__name__}"
    keys = [RequestKey.of(user_id, name, "POST", "/bookings") for user_id in (1, 2)]

    async def test(resources: Resources) -> None:
        database = resources.database
        first = await once(database, keys[0], lambda work: write(work, name), transact=transact)
        again = await once(database, keys[0], lambda work: write(work, name), transact=transact)
        assert (first.status_code, again.body) == (200, first.body)
        with pytest.raises(SeatAlreadyBooked):
            await once(database, keys[1], lambda work: write(work, name), transact=transact)
        refused = await once(database, keys[1], lambda work: write(work, f"{name}-free"), transact=transact)
        assert (refused.status_code, b'"code":4000' in refused.body) == (400, True)
        assert (await written(database, name), await written(database, f"{name}-free")) == (1, 0)

    in_service(test)


def test_an_intent_that_the_database_refuses_is_refused_again(in_service: InService) -> None:
    key = RequestKey.of(3, "intent", "PATCH", "/payments/complete")
    followed = []

    async def intend(transaction: Transaction) -> None:
        await write(transaction, "intent")

    async def follow() -> None:
        followed.append("intent")

    async def test(resources: Resources) -> None:
        await once(resources.database, None, lambda work: write(work, "intent"))
        with pytest.raises(SeatAlreadyBooked):
            await resumable(resources.database, key, intend, follow)
        answer = await resumable(resources.database, key, intend, follow)
        assert (answer.status_code, followed) == (400, [])

    in_service(test)


def test_a_refusal_binds_its_key_and_503_does_not(in_service: InService) -> None:
    one, other = (RequestKey.of(4, "bound", "POST", path) for path in ("/bookings", "/payments"))

    async def test(resources: Resources) -> None:
        database = resources.database
        with pytest.raises(ServiceUnavailable):
            await refuse(database, one, ServiceUnavailable("the first time"))
        with pytest.raises(InvalidInput):
            await refuse(database, one, InvalidInput.of("price", "the second time"))
        for error in (ServiceUnavailable("the third time"), SeatAlreadyBooked()):
            answer = await refuse(database, one, error)
            assert (answer.status_code, b"the second time" in answer.body) == (400, True)
        with pytest.raises(IdempotencyKeyReused):
            await refuse(database, other, SeatAlreadyBooked())
        with pytest.raises(IdempotencyKeyReused):
            await once(database, other, lambda work: write(work, "bound"))
        assert await written(database, "bound") == 0

    in_service(test)


def test_a_key_is_for_what_was_asked_not_for_how_it_came() -> None:
    body = BookingRequest.model_validate({"scheduleId": 7, "userId": 3, "price": 5, "seat": ["1 1"]})
    asked = RequestKey.of(3, "key", "POST", "/bookings", body)
    same = BookingRequest.model_validate({"seat": ["1 1"], "price": 5, "userId": 3, "scheduleId": 7, "concertId": 9})
    assert RequestKey.of(3, "key", "POST", "/bookings", same) == asked
    others = [
        RequestKey.of(3, "key", "POST", "/bookings", body.model_copy(update={"price": 6})),
        RequestKey.of(3, "key", "POST", "/bookings"),
        RequestKey.of(3, "key", "POST", "/payments", body),
        RequestKey.of(3, "key", "PATCH", "/bookings", body),
    ]
    assert len({key.request_hash for key in [asked, *others]}) == 5
