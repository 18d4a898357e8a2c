"""Seed data and audit of the on-sale rush."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from scenarios.audits.bookings import (
    acknowledged_exist,
    committed_per_second,
    finished_per_second,
    seat_sold_once,
    unacknowledged_are_explained,
)
from scenarios.audits.payments import acknowledged_payments_are_complete, every_payment_is_backed
from scenarios.audits.refunds import canceled_and_refunded_once, refund_courses, refund_done_ms, settle
from scenarios.audits.tickets import ticket_rules
from scenarios.dataset import concert_of, prices
from scenarios.model import Audited, CellState

SHOWS = 40
"""On sale at once; each has a line of its own where there are lines."""

PAGES = 5
"""Pages of the concert list that visitors open."""

POLLING_SHARE, CANCELING_SHARE = 0.05, 0.2


def prepare(state: CellState) -> Mapping[str, Any]:
    """Ids of the load's users, and the price of each show."""
    dataset, known = state.dataset, prices(state.dataset)
    return {
        "user_ids": [user.user_id for user in dataset.load_users],
        "prices": [known[concert_of(dataset, schedule)] for schedule in range(1, SHOWS + 1)],
        "pages": PAGES,
    }


def audit(state: CellState) -> Audited:
    """What holds for bookings, payments and cancellations each, holds when they come together."""
    settle(state)
    rules = [
        seat_sold_once(state),
        acknowledged_exist(state),
        unacknowledged_are_explained(state),
        *ticket_rules(state),
        every_payment_is_backed(state),
        acknowledged_payments_are_complete(state),
        *canceled_and_refunded_once(state),
    ]
    metrics = {**finished_per_second(state), **refund_done_ms(state), **ticket_done_ms(state)}
    _, _, backlog = refund_courses(state)
    return Audited(rules, metrics, [committed_per_second(state), backlog])


def ticket_done_ms(state: CellState) -> dict[str, float]:
    """``ticket_done_ms``: median milliseconds from the request to its outcome, as owners saw it who stayed."""
    waits = [
        1000 * (attempt.ticket.ended_at - attempt.sent_at)
        for attempt in state.ticketed
        if attempt.ticket and attempt.ticket.polled and attempt.ticket.ended_at is not None
    ]
    return {"ticket_done_ms": statistics.median(waits)} if waits else {}
