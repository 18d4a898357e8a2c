"""Choosing a seat: 1,000 people look at which seats are still free."""

from __future__ import annotations

from scenarios.model import Load, Scenario, Variant
from scenarios.seat_lookup.rules import audit, prepare

SCENARIO = Scenario(
    id="seat_lookup",
    title="Seat lookup",
    text="1,000 clients look at the seats of shows in a closed loop, each show with the same probability. "
    "concert-service asks order-service for the taken seats.",
    variants=(Variant(Load("closed", users=1_000, requests_per_user=10)),),
    prepare=prepare,
    audit=audit,
)
