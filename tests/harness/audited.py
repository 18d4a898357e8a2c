"""What an audit is given: bookings, and what clients remember of them."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg

from common.errors import SeatAlreadyBooked
from scenarios.audits import bookings
from scenarios.dataset import DATASETS, free_seat, prices
from scenarios.model import Attempt, Finding
from scenarios.tickets import DONE, Ticket

SMALL = replace(DATASETS["default"], concerts=4, buyers=10, today=date(2026, 11, 1))


SHOW, SEAT = 1, free_seat(0)


PRICE = prices(SMALL)[1]


def book(order: psycopg.Connection[Any], user: int = 0, seat: str = SEAT, status: str = "PENDING") -> int:
    """A booking made behind the audit's back."""
    row, column = seat.split()
    made = order.execute(
        "INSERT INTO bookings (user_id, concert_id, schedule_id, price, status, seat_row, seat_column)"
        " VALUES (%s, 1, %s, %s, %s, %s, %s) RETURNING id",
        [SMALL.load_users[user].user_id, SHOW, PRICE, status, row, column],
    ).fetchone()
    assert made is not None
    return int(made[0])


def asked(user: int = 0, seat: str = SEAT, status: int = 0, told: int | None = None, key: str = "") -> Attempt:
    """What a client remembers of asking for a seat; ``told`` is the booking that it was told of."""
    body = {"code": 0, "message": "", "data": []}
    if told is not None:
        body["data"] = [{"id": told, "scheduleId": SHOW, "price": PRICE, "seat": seat}]
    sent = {"scheduleId": SHOW, "seat": [seat]}
    text = json.dumps(body) if status else ""
    return Attempt("POST", bookings.BOOKINGS_PATH, user, key, sent, 1.0, status, text, 2.0 if status else None)


def queued(
    number: int, user: int = 0, seat: str = SEAT, *, state: str = DONE, status: int = 400, told: int | None = None
) -> Attempt:
    """A request that was told to wait, at second ``number``, and what its ticket came to."""
    direct = asked(user, seat, status, told)
    refusal = json.dumps({"code": SeatAlreadyBooked.code, "message": "", "data": {}})
    body = direct.body if told is not None else refusal
    ticket = Ticket(f"t{number}", number, f"/monitor/tickets/t{number}", state, status, body)
    at = float(number)
    return replace(direct, sent_at=at, status=202, body="{}", answered_at=at + 0.5, ticket=ticket)


def kept(finding: Finding) -> bool:
    return finding.violations == 0
