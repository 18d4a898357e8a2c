"""Seed data and audit of booking."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scenarios.audits.bookings import (
    acknowledged_exist,
    committed_per_second,
    finished_per_second,
    seat_sold_once,
    unacknowledged_are_explained,
)  # fmt: skip
from scenarios.audits.tickets import ticket_rules
from scenarios.dataset import FREE_SEATS, ON_SALE, concert_of, prices
from scenarios.model import Audited, CellState


def prepare(state: CellState) -> Mapping[str, Any]:
    """Ids of the load's users, the price of each show, and how many seats of each are free."""
    dataset, known = state.dataset, prices(state.dataset)
    return {
        "user_ids": [user.user_id for user in dataset.load_users],
        "prices": [known[concert_of(dataset, schedule)] for schedule in range(1, ON_SALE + 1)],
        "free_seats": FREE_SEATS,
    }


def audit(state: CellState) -> Audited:
    """No seat twice; what was acknowledged is there; nothing is there that nobody asked for; the line was kept."""
    rules = [seat_sold_once(state), acknowledged_exist(state), unacknowledged_are_explained(state)]
    return Audited([*rules, *ticket_rules(state)], finished_per_second(state), [committed_per_second(state)])
