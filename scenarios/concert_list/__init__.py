"""Browsing: 100 people page through the concert list."""

from __future__ import annotations

from scenarios.concert_list.rules import audit, prepare
from scenarios.model import Load, Scenario, Variant

SCENARIO = Scenario(
    id="concert_list",
    title="Concert list",
    text="100 clients page through the concert list in a closed loop: every page of 20 with the same probability.",
    variants=(Variant(Load("closed", users=100, requests_per_user=100)),),
    prepare=prepare,
    audit=audit,
)
