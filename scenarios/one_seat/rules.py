"""Seed data and audit of the rush for one seat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from scenarios.audits.bookings import (
    acknowledged_exist,
    made_since_seeding,
    seat_sold_once,
    unacknowledged_are_explained,
)  # fmt: skip
from scenarios.audits.tickets import ticket_rules
from scenarios.audits.verdicts import finding
from scenarios.dataset import concert_of, free_seat, prices
from scenarios.model import Audited, CellState, Finding

SHOW = 1


def prepare(state: CellState) -> Mapping[str, Any]:
    """The one seat, and who may ask for it."""
    price = prices(state.dataset)[concert_of(state.dataset, SHOW)]
    return {
        "user_ids": [user.user_id for user in state.dataset.load_users],
        "booking": {"scheduleId": SHOW, "price": price, "seat": [free_seat(0)]},
    }


def audit(state: CellState) -> Audited:
    """One winner, no seat twice, and nobody was told otherwise."""
    rules = [one_winner(state), seat_sold_once(state), unacknowledged_are_explained(state), *ticket_rules(state)]
    if _told(state):
        rules.append(acknowledged_exist(state))
    return Audited(rules, {"winners": float(_told(state))})


def one_winner(state: CellState) -> Finding:
    """Exactly one client was told that it has the seat, or nobody was told and nobody has it.

    A winner whose answer was lost has a booking too: then nobody may have been told.
    """
    told = _told(state)
    with psycopg.connect(state.database_urls["order"]) as connection:
        made = [b for b in made_since_seeding(connection, state) if b.status != "CANCELED"]
    lost = sum(not attempt.outcome_known for attempt in state.attempts)
    problems = []
    if len(made) != 1 and (made or not lost):
        problems.append(f"{len(made)} bookings of the one seat")
    if told > len(made):
        problems.append(f"{told} clients were told that they have it")
    if told == 0 and made and not lost:
        problems.append("somebody has it, and nobody was told or left in the dark")
    return finding("one_winner", problems, checked=len(state.attempts))


def _told(state: CellState) -> int:
    """How many clients were told that the seat is theirs."""
    return sum(attempt.final_status == 200 for attempt in state.attempts)
