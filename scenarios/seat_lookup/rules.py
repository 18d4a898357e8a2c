"""Seed data and audit of the seat lookup."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import psycopg

from scenarios.audits.verdicts import finding
from scenarios.dataset import ON_SALE
from scenarios.model import Audited, CellState


def prepare(state: CellState) -> Mapping[str, Any]:
    """The ids of the shows that are looked at."""
    return {"schedules": list(range(1, ON_SALE + 1))}


def audit(state: CellState) -> Audited:
    """Every seat map that a client kept has exactly the seats that are taken."""
    taken: defaultdict[int, set[str]] = defaultdict(set)
    with psycopg.connect(state.database_urls["order"]) as connection:
        rows = connection.execute(
            "SELECT schedule_id, seat_row, seat_column FROM bookings"
            " WHERE NOT is_deleted AND status IN ('PENDING', 'CONFIRMED', 'CANCEL_REQUESTED')"
        )
        for schedule_id, row, column in rows:
            taken[schedule_id].add(f"{row} {column}")
    problems = []
    for answer in state.answers:
        schedule = json.loads(answer.body)["data"]
        if set(schedule["seatList"]) != taken[schedule["id"]]:
            problems.append(f"{answer.path}: other seats taken than the database has")
    return Audited([finding("answers_match_database", problems, checked=len(state.answers))])
