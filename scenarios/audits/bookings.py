"""Rules about bookings: a seat is sold once, what was acknowledged exists, and nothing exists that nobody asked for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx
import psycopg

from scenarios.audits.verdicts import finding
from scenarios.model import ACCEPTED, Attempt, CellState, Course, Finding
from scenarios.tickets import Ticket, ticket_of

BOOKINGS_PATH = "/order-service/bookings"

# Repeating every unknown request would be a load of its own; so many are repeated.
REPEATED_AT_MOST = 50

# How long a repeated request may wait in line.
REPEATED_SECONDS = 30.0
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Seat:
    """One seat of one show, on the wire ``"<row> <column>"``."""

    schedule: int
    row: int
    column: int


@dataclass(frozen=True)
class Booking:
    """A row of the bookings table."""

    id: int
    user_id: int
    seat: Seat
    price: int
    status: str


def made_since_seeding(connection: psycopg.Connection[Any], state: CellState) -> list[Booking]:
    """The bookings that the load has made, canceled ones included."""
    rows = connection.execute(
        "SELECT id, user_id, schedule_id, seat_row, seat_column, price, status FROM bookings WHERE id > %s ORDER BY id",
        [state.dataset.bookings],
    )
    return [
        Booking(id, user, Seat(show, row, column), price, status) for id, user, show, row, column, price, status in rows
    ]


def seat_sold_once(state: CellState) -> Finding:
    """A seat has at most one active booking."""
    with psycopg.connect(state.database_urls["order"]) as connection:
        (active,) = connection.execute("SELECT count(*) FROM bookings WHERE status <> 'CANCELED'").fetchone() or (0,)
        twice = connection.execute(
            "SELECT schedule_id, seat_row, seat_column, count(*) FROM bookings WHERE status <> 'CANCELED'"
            " GROUP BY 1, 2, 3 HAVING count(*) > 1"
        ).fetchall()
    problems = [f"seat {row} {column} of show {show} has {count} bookings" for show, row, column, count in twice]
    return finding("seat_sold_once", problems, checked=active)


def acknowledged_exist(state: CellState) -> Finding:
    """Every booking that a client was told of is in the database, as it was told, exactly once."""
    told = [(attempt, booking) for attempt in bookings_of(state.attempts) for booking in _told(attempt)]
    with psycopg.connect(state.database_urls["order"]) as connection:
        made = {booking.id: booking for booking in made_since_seeding(connection, state)}
    buyers = state.dataset.load_users
    problems = []
    for attempt, booking in told:
        row = made.get(booking["id"])
        if row is None:
            problems.append(f"booking {booking['id']} was acknowledged and is not there")
            continue
        expected = Booking(row.id, buyers[attempt.user].user_id, _seat(booking), booking["price"], row.status)
        if row != expected:
            problems.append(f"booking {row.id} differs from what was acknowledged")
    for booking_id, times in Counter(booking["id"] for _, booking in told).items():
        if times > 1:
            problems.append(f"booking {booking_id} was acknowledged {times} times")
    return finding("acknowledged_bookings_exist", problems, checked=len(told))


def unacknowledged_are_explained(state: CellState) -> Finding:
    """A booking that no client was told of belongs to a request whose outcome its client does not know.

    Repeating that request under its ``Idempotency-Key`` returns the booking.
    """
    told = {booking["id"] for attempt in bookings_of(state.attempts) for booking in _told(attempt)}
    with psycopg.connect(state.database_urls["order"]) as connection:
        made = made_since_seeding(connection, state)
    buyers = state.dataset.load_users
    unknown = {
        (buyers[attempt.user].user_id, seat): attempt
        for attempt in bookings_of(state.attempts)
        if not attempt.outcome_known
        for seat in asked(attempt)
    }
    problems = []
    repeated = 0
    for booking in made:
        if booking.id in told:
            continue
        attempt = unknown.get((booking.user_id, booking.seat))
        if attempt is None:
            problems.append(f"booking {booking.id} was made, and nobody asked for it or was told of it")
        elif attempt.key and repeated < REPEATED_AT_MOST:
            repeated += 1
            if booking.id not in _repeat(state, attempt):
                problems.append(f"repeating the request of booking {booking.id} did not return it")
    return finding("unacknowledged_bookings_are_explained", problems, checked=max(1, len(made)))


def finished_per_second(state: CellState) -> dict[str, float]:
    """``finished``: distinct bookings committed ÷ seconds from the first request to the last outcome.

    The last outcome is what came last of: an answer, a ticket's end that its owner watched, a commit.
    """
    attempts = bookings_of(state.attempts)
    ends = [attempt.answered_at for attempt in attempts if attempt.answered_at is not None]
    if not ends:
        return {}
    watched = [attempt.ticket.ended_at for attempt in attempts if attempt.ticket and attempt.ticket.ended_at]
    commits = _committed_at(state)
    last = max([*ends, *watched, *commits])
    return {"finished": len(commits) / (last - min(attempt.sent_at for attempt in attempts))}


def committed_per_second(state: CellState) -> Course:
    """Bookings committed over time, to the last of them: it goes on while a queue is drained."""
    passed = [at - state.measured_from for at in _committed_at(state)]
    counts = Counter(int(seconds) for seconds in passed if seconds >= 0)
    values = [float(counts[second]) for second in range(max(counts, default=-1) + 1)]
    return Course("Bookings committed (1/s)", 1.0, values)


def _committed_at(state: CellState) -> list[float]:
    """When each booking of the load was made, in seconds since the epoch."""
    with psycopg.connect(state.database_urls["order"]) as connection:
        rows = connection.execute("SELECT created_at FROM bookings WHERE id > %s", [state.dataset.bookings])
        return [created.timestamp() for (created,) in rows]


def bookings_of(attempts: Sequence[Attempt]) -> list[Attempt]:
    """The requests for seats."""
    return [attempt for attempt in attempts if attempt.method == "POST" and attempt.path == BOOKINGS_PATH]


def _told(attempt: Attempt) -> list[dict[str, Any]]:
    """The bookings that the answer acknowledges."""
    if attempt.final_status != 200:
        return []
    bookings: list[dict[str, Any]] = attempt.data
    return bookings


def _seat(booking: dict[str, Any]) -> Seat:
    row, column = booking["seat"].split(" ")
    return Seat(booking["scheduleId"], int(row), int(column))


def asked(attempt: Attempt) -> Iterator[Seat]:
    """The seats that it is about."""
    for text in attempt.sent["seat"]:
        row, column = text.split(" ")
        yield Seat(attempt.sent["scheduleId"], int(row), int(column))


def _repeat(state: CellState, attempt: Attempt) -> set[int]:
    """The ids that the same request gets under the same key; one that was queued is told of by the same ticket."""
    bearer = {"Authorization": f"Bearer {state.tokens[attempt.user]}"}
    with httpx.Client(
        base_url=state.gateway_url, headers=bearer, timeout=30.0, trust_env=False, verify=False
    ) as client:
        answer = client.post(attempt.path, json=attempt.sent, headers={"Idempotency-Key": attempt.key})
        if answer.status_code == ACCEPTED:
            ticket = ticket_of(answer.headers.get)
            again = replace(attempt, status=answer.status_code, body=answer.text, ticket=ticket)
            return {booking["id"] for booking in _told(again)} if ticket and _await(client, ticket) else set()
    return {booking["id"] for booking in answer.json()["data"]} if answer.status_code == 200 else set()


def _await(client: httpx.Client, ticket: Ticket) -> bool:
    """Whether the ticket comes to an end in time."""
    deadline = time.monotonic() + REPEATED_SECONDS
    while time.monotonic() < deadline:
        answer = client.get(ticket.location)
        if ticket.read(answer.status_code, answer.text):
            return True
        time.sleep(_POLL_SECONDS)
    return False
