"""Queued bookings, many at once: one transaction, and as many statements for hundreds of them as for one.

The database is asked what is known of the tickets, their keys and seats; then the tickets are gone through in their
order, so that the earlier one has the seat; then what has come of it is written. If others were faster meanwhile (at a
seat, or with the same batch), the constraints of the database find out, and the batch is done again from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from asyncpg import DeadlockDetectedError, UniqueViolationError
from prometheus_client import Counter
from pydantic import ConfigDict, Field, ValidationError
from pydantic_core import to_json
from sqlalchemy import text

from common.clients import AnswerUnusable
from common.errors import IdempotencyKeyReused, PlatformError, SeatAlreadyBooked, ServiceUnavailable
from common.language import use_language
from common.statements import Transaction
from common.wire import ABSENT, Id, JSONBytes, RequestModel, failure, ok
from order.bookings import BOOKED, TAKEN, priced, views
from order.idempotency import RequestKey
from order.resources import Resources
from order.schedules import ScheduleDetail
from order.schemas import BookingRequest
from order.seats import Seat
from order.tickets import TICKET_ID, TicketId

AGAIN = Counter("order_batches_again", "Batches that were done again, as the database had changed meanwhile.")

ATTEMPTS = 5

_ENDED = text("SELECT ticket_id FROM tickets WHERE ticket_id = ANY(CAST(:ticket_ids AS text[]))")
# As in idempotency.py, a key that has outlived its time is as good as new.
_KEYS = text("""
    WITH given AS (SELECT * FROM unnest(CAST(:user_ids AS bigint[]), CAST(:keys AS text[]))), forgotten AS (
        DELETE FROM idempotency_keys
        WHERE (user_id, key) IN (SELECT * FROM given) AND created_at < now() - interval '24 hours'
    )
    SELECT user_id, key, request_hash, status, body FROM idempotency_keys
    WHERE (user_id, key) IN (SELECT * FROM given) AND created_at >= now() - interval '24 hours'
""")
# Each seat is looked up by itself, as in bookings.py.
_TAKEN = text("""
    SELECT wanted.*
    FROM unnest(CAST(:schedule_ids AS bigint[]), CAST(:rows AS integer[]), CAST(:columns AS integer[]))
    AS wanted (schedule_id, seat_row, seat_column) CROSS JOIN LATERAL (
        SELECT FROM bookings
        WHERE schedule_id = wanted.schedule_id AND status <> 'CANCELED'
          AND seat_row = wanted.seat_row AND seat_column = wanted.seat_column
        LIMIT 1
    ) AS holder
""")
# Drawn beforehand, since the answers name them; those that nobody needs leave a gap, as a rollback does.
_IDS = text("SELECT nextval('bookings_id_seq') FROM generate_series(1, CAST(:count AS integer))")
# Booked in order, so that of two batches for the same seats one waits for the other, and never each for the other.
_WRITE = text("""
    WITH booked AS (
        INSERT INTO bookings (id, user_id, concert_id, schedule_id, price, status, expires_at, created_by, updated_by,
                              seat_row, seat_column)
        SELECT id, user_id, concert_id, schedule_id, price, 'PENDING', now() + make_interval(secs => :hold_seconds),
               user_id, user_id, seat_row, seat_column
        FROM json_populate_recordset(CAST(NULL AS bookings), CAST(:bookings AS json))
        ORDER BY schedule_id, seat_row, seat_column
    ), remembered AS (
        INSERT INTO idempotency_keys (user_id, key, request_hash, status, body)
        SELECT user_id, key, request_hash, status, body
        FROM json_populate_recordset(CAST(NULL AS idempotency_keys), CAST(:keys AS json))
    )
    INSERT INTO tickets (ticket_id, user_id, status, http_status, body)
    SELECT ticket_id, user_id, status, http_status, body
    FROM json_populate_recordset(CAST(NULL AS tickets), CAST(:tickets AS json))
""")


class Item(RequestModel):
    """A ticket, whose it is by the gateway's word, and its ``POST /bookings``; or the end that it has come to."""

    ticket_id: TicketId
    user_id: Id
    language: str = Field(default="", description="`Accept-Language`")
    idempotency_key: str | None = None
    body: str = Field(default="", description="a character for each byte (ISO 8859-1); with an end, the answer's text")
    end: Literal["DONE", "FAILED", "ABANDONED"] = ABSENT
    http_status: int = ABSENT

    model_config = ConfigDict(json_schema_extra={"example": {"ticketId": TICKET_ID, "userId": 3, "end": "ABANDONED"}})


@dataclass(frozen=True, slots=True)
class Order:
    """What a ticket's request wants: seats of a show; no show, if it is no booking as it stands."""

    item: Item
    key: RequestKey | None = None
    show: ScheduleDetail | None = None
    seats: Sequence[Seat] = ()


@dataclass(slots=True)
class Sale:
    """Goes through the tickets of a batch, and collects the rows that are to be written."""

    taken: set[tuple[int, Seat]]  # and of which schedule
    firsts: dict[tuple[int, str], tuple[str, JSONBytes]]  # of a user's key: its request's hash, and the answer to it
    ids: Iterator[int]  # for new bookings
    bookings: list[dict[str, Any]] = field(default_factory=list)
    keys: list[dict[str, Any]] = field(default_factory=list)
    tickets: list[dict[str, Any]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)  # tickets whose requests are no bookings as they stand

    def decide(self, order: Order) -> None:
        """Comes to the outcome of the next ticket."""
        item = order.item
        status, http_status, body = item.end, item.http_status, item.body or None
        if order.show is not None:
            use_language(item.language)
            answer = self._answer(order, order.show)
            status, http_status, body = "DONE", answer.status_code, bytes(answer.body).decode()
        elif item.end is None:
            self.others.append(item.ticket_id)
            return
        ticket = {"ticket_id": item.ticket_id, "user_id": item.user_id, "status": status}
        self.tickets.append({**ticket, "http_status": http_status, "body": body})

    def _answer(self, order: Order, show: ScheduleDetail) -> JSONBytes:
        if (key := order.key) is None:
            return self._sell(order, show)
        if (key.user_id, key.key) not in self.firsts:
            answer = self._sell(order, show)
            self.firsts[key.user_id, key.key] = key.request_hash, answer
            self.keys.append({**asdict(key), "status": answer.status_code, "body": bytes(answer.body).decode()})
        request_hash, answer = self.firsts[key.user_id, key.key]
        return answer if request_hash == key.request_hash else failure(IdempotencyKeyReused())

    def _sell(self, order: Order, show: ScheduleDetail) -> JSONBytes:
        """All of the seats, or none."""
        user_id, places = order.item.user_id, [(show.id, seat) for seat in order.seats]
        if not self.taken.isdisjoint(places):
            TAKEN.inc()
            return failure(SeatAlreadyBooked())
        self.taken.update(places)
        ids = {seat: next(self.ids) for seat in order.seats}
        every = {"user_id": user_id, "concert_id": show.concert_id, "schedule_id": show.id, "price": show.price}
        self.bookings += [
            {**every, "id": ids[seat], "seat_row": seat.row, "seat_column": seat.column} for seat in order.seats
        ]
        return ok(views(show, user_id, order.seats, ids))


async def settle(resources: Resources, items: Sequence[Item]) -> list[str]:
    """Gives each ticket that has no outcome yet its outcome, in their order.

    Returns those whose requests are no bookings as they stand: the API can answer them.
    Raises ServiceUnavailable: now it cannot be done; nothing was written.
    """
    orders = await asyncio.gather(*(_read(resources, item) for item in items))
    for _ in range(ATTEMPTS):
        try:
            async with resources.database.transaction() as transaction:
                sale = await _sell(transaction, orders, resources.settings.hold_seconds)
            BOOKED.inc(len(sale.bookings))
            return sale.others
        except (UniqueViolationError, DeadlockDetectedError):
            AGAIN.inc()
    raise ServiceUnavailable(f"others were at the same seats, keys or tickets {ATTEMPTS} times")


async def _read(resources: Resources, item: Item) -> Order:
    """Raises ServiceUnavailable: its show cannot be looked up."""
    if item.end is not None:
        return Order(item)
    key = item.idempotency_key
    try:
        request = BookingRequest.model_validate_json(item.body.encode("iso-8859-1"))
        if request.user_id != item.user_id or (key is not None and not 1 <= len(key) <= 255):
            return Order(item)
        show, seats = await priced(resources, request)
    except (ValidationError, PlatformError) as refusal:
        # What its own show is to blame for must hold up nobody else; for a service that is away, all wait.
        if isinstance(refusal, ServiceUnavailable) and not isinstance(refusal, AnswerUnusable):
            raise
        return Order(item)
    return Order(item, key and RequestKey.of(item.user_id, key, "POST", "/bookings", request), show, seats)


async def _sell(transaction: Transaction, orders: Sequence[Order], hold_seconds: float) -> Sale:
    wanted = [(order.show.id, *seat) for order in orders if order.show for seat in order.seats]
    schedule_ids, rows, columns = zip(*wanted, strict=True) if wanted else ((), (), ())
    keys = [order.key for order in orders if order.key]
    owners = {"user_ids": [key.user_id for key in keys], "keys": [key.key for key in keys]}
    taken = await transaction.rows(_TAKEN, schedule_ids=schedule_ids, rows=rows, columns=columns)
    sale = Sale(
        taken={(schedule_id, Seat(*seat)) for schedule_id, *seat in taken},
        firsts={
            # One that has no answer yet is another request's: bookings are answered when their key is written.
            (user_id, key): (request_hash, JSONBytes(body or "", status_code=status or 503))
            for user_id, key, request_hash, status, body in (await transaction.rows(_KEYS, **owners) if keys else ())
        },
        ids=iter([row.nextval for row in await transaction.rows(_IDS, count=len(wanted))]),
    )
    tickets = [order.item.ticket_id for order in orders]
    ended = {row.ticket_id for row in await transaction.rows(_ENDED, ticket_ids=tickets)}
    for order in orders:
        if order.item.ticket_id not in ended:
            ended.add(order.item.ticket_id)
            sale.decide(order)
    written = {name: to_json(getattr(sale, name)).decode() for name in ("bookings", "keys", "tickets")}
    await transaction.rows(_WRITE, **written, hold_seconds=hold_seconds)
    return sale
