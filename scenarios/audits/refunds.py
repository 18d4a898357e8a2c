"""Rules about money: every accepted cancellation ends canceled, with exactly one refund at the provider."""

from __future__ import annotations

import sqlite3
import statistics
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg

from payment_simulator.schema import open_for_reading
from scenarios.audits.verdicts import finding
from scenarios.model import Attempt, CellState, Course, Finding

# Cancellations that are under way when the load ends get this long to come to their end.
SETTLE_SECONDS = 60.0
_POLL_SECONDS = 0.1

STEP_SECONDS = 0.5
"""Width of a step of what is drawn over time."""

CANCEL_PREFIX = "/order-service/bookings/cancel/"


@dataclass(frozen=True)
class Refund:
    """One cancel in the provider's ledger."""

    amount: int
    at_ms: int


def settle(state: CellState) -> None:
    """Waits until no cancellation is under way any more, or for a minute."""
    deadline = time.monotonic() + SETTLE_SECONDS
    with psycopg.connect(state.database_urls["order"], autocommit=True) as connection:
        while time.monotonic() < deadline:
            waiting = connection.execute("SELECT 1 FROM bookings WHERE status = 'CANCEL_REQUESTED' LIMIT 1").fetchone()
            if waiting is None:
                return
            time.sleep(_POLL_SECONDS)


def canceled_and_refunded_once(state: CellState) -> list[Finding]:
    """Every accepted cancellation is CANCELED with one refund of its price; no other booking was refunded."""
    accepted = {_booking_of(attempt) for attempt in state.attempts if _is_accepted(attempt)}
    rows = _paid_bookings(state)
    refunds = _refunds(state)
    not_canceled, not_once, uncalled = [], [], []
    for booking, (status, price, payment_key) in rows.items():
        refunded = refunds.get(payment_key, [])
        # CANCEL_REQUESTED is an acceptance, whatever its client was told.
        if status != "CANCELED" and (booking in accepted or status == "CANCEL_REQUESTED"):
            not_canceled.append(f"the cancellation of booking {booking} was accepted, and it is {status}")
        if status == "CANCELED" and [refund.amount for refund in refunded] != [price]:
            not_once.append(f"booking {booking} of {price} won was refunded {[refund.amount for refund in refunded]}")
        if status not in ("CANCELED", "CANCEL_REQUESTED") and refunded:
            uncalled.append(f"booking {booking} is {status}, and was refunded")
    lost = accepted - rows.keys()
    not_canceled += [f"booking {booking} was canceled by a client and is not there" for booking in lost]
    canceled = sum(status == "CANCELED" for status, _, _ in rows.values())
    return [
        finding("accepted_cancellations_end_canceled", not_canceled, checked=len(accepted)),
        finding("refunded_exactly_once", not_once, checked=canceled),
        finding("nothing_else_refunded", uncalled, checked=len(rows)),
    ]


def refund_done_ms(state: CellState) -> dict[str, float]:
    """``refund_done_ms``: median milliseconds from the client's request to the refund at the provider."""
    keys = {booking: key for booking, (_, _, key) in _paid_bookings(state).items()}
    refunds = _refunds(state)
    waits = []
    for attempt in state.attempts:
        if _is_accepted(attempt):
            done = refunds.get(keys.get(_booking_of(attempt), ""), [])
            waits += [refund.at_ms - attempt.sent_at * 1000 for refund in done]
    return {"refund_done_ms": max(0.0, statistics.median(waits))} if waits else {}


def refund_courses(state: CellState) -> list[Course]:
    """Over time: what a client waited for its answer, and until its refund, by when it asked; and the backlog.

    The backlog are refunds that are owed: accepted, which is to say committed, and not done at the provider yet.
    """
    owed, answers, waits = _owed(state), [], []
    done_at = {booking: done for booking, _, done in owed}
    for attempt in state.attempts:
        if _is_accepted(attempt) and attempt.answered_at is not None:
            answers.append((attempt.sent_at, 1000 * (attempt.answered_at - attempt.sent_at)))
            done = done_at.get(_booking_of(attempt))
            if done is not None:
                waits.append((attempt.sent_at, max(0.0, 1000 * (done - attempt.sent_at))))
    return [
        Course("Time to the answer (ms)", STEP_SECONDS, _means(answers, state.measured_from), with_provider=True),
        Course("Time to the refund (ms)", STEP_SECONDS, _means(waits, state.measured_from), with_provider=True),
        Course("Accepted, not refunded yet (cancellations)", STEP_SECONDS, _backlog(owed, state.measured_from)),
    ]


def _owed(state: CellState) -> list[tuple[int, float, float | None]]:
    """Each refund: its booking, when it was accepted and when the provider did it, in seconds since the epoch."""
    with psycopg.connect(state.database_urls["order"]) as connection:
        rows = connection.execute(
            "SELECT r.booking_id, r.created_at, p.payment_key FROM refunds r JOIN payments p ON p.id = r.payment_id"
            " WHERE r.booking_id IS NOT NULL"
        ).fetchall()
    refunds = _refunds(state)
    found = []
    for booking, accepted, key in rows:
        done = [refund.at_ms / 1000 for refund in refunds.get(key, [])]
        found.append((booking, accepted.timestamp(), min(done, default=None)))
    return found


def _means(points: Iterable[tuple[float, float]], start: float) -> list[float | None]:
    """The mean of the values in each step, of what began in it."""
    steps: defaultdict[int, list[float]] = defaultdict(list)
    for at, value in points:
        if at >= start:
            steps[int((at - start) / STEP_SECONDS)].append(value)
    return [statistics.fmean(steps[step]) if step in steps else None for step in range(max(steps, default=-1) + 1)]


def _backlog(owed: Sequence[tuple[int, float, float | None]], start: float) -> list[float | None]:
    """How many were owed at the end of each step, until nothing more happens."""
    accepted = sorted(at - start for _, at, _ in owed)
    done = sorted(at - start for _, _, at in owed if at is not None)
    steps = int(max([*accepted, *done], default=-STEP_SECONDS) / STEP_SECONDS) + 1
    ends = [STEP_SECONDS * (step + 1) for step in range(steps)]
    # A clock that only counts milliseconds may have done a refund a little before it was accepted.
    return [float(max(0, bisect_right(accepted, end) - bisect_right(done, end))) for end in ends]


def _is_accepted(attempt: Attempt) -> bool:
    return attempt.path.startswith(CANCEL_PREFIX) and attempt.status == 200


def _booking_of(attempt: Attempt) -> int:
    return int(attempt.path.removeprefix(CANCEL_PREFIX))


def _paid_bookings(state: CellState) -> dict[int, tuple[str, int, str]]:
    """Booking id to status, price and payment key, of those that were paid; each payment covers one booking."""
    with psycopg.connect(state.database_urls["order"]) as connection:
        rows = connection.execute(
            "SELECT b.id, b.status, b.price, p.payment_key FROM bookings b JOIN payments p ON p.id = b.payment_id"
            " WHERE p.status IN ('COMPLETED', 'CANCELED')"
        )
        return {booking: (status, price, key) for booking, status, price, key in rows}


def _refunds(state: CellState) -> dict[str, list[Refund]]:
    """Payment key to its refunds, from the provider's own file."""
    refunds: defaultdict[str, list[Refund]] = defaultdict(list)
    ledger: sqlite3.Connection = open_for_reading(state.ledger)
    try:
        for row in ledger.execute("SELECT payment_key, amount, canceled_ms FROM cancels"):
            refunds[row["payment_key"]].append(Refund(row["amount"], row["canceled_ms"]))
    finally:
        ledger.close()
    return refunds
