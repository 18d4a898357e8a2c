"""Rules about money: every accepted cancellation ends canceled, with exactly one refund at the provider."""

from __future__ import annotations

import sqlite3
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass

import psycopg

from payment_simulator.schema import open_for_reading
from scenarios.audits.verdicts import finding
from scenarios.model import Attempt, CellState, Finding

# Cancellations that are under way when the load ends get this long to come to their end.
SETTLE_SECONDS = 60.0
_POLL_SECONDS = 0.1

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


def _is_accepted(attempt: Attempt) -> bool:
    return attempt.path.startswith(CANCEL_PREFIX) and attempt.status == 200


def _booking_of(attempt: Attempt) -> int:
    return int(attempt.path.removeprefix(CANCEL_PREFIX))


def _paid_bookings(state: CellState) -> dict[int, tuple[str, int, str]]:
    """Booking id to status, price and payment key; each seeded payment covers one booking."""
    with psycopg.connect(state.database_urls["order"]) as connection:
        rows = connection.execute(
            "SELECT b.id, b.status, b.price, p.payment_key FROM bookings b JOIN payments p ON p.id = b.payment_id"
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
