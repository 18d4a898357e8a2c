"""Changing one's mind: 100 people cancel bookings that they have paid for."""

from __future__ import annotations

from common.errors import BookingNotCancellable
from scenarios.cancel.rules import audit, prepare
from scenarios.model import Load, Scenario, Variant

SHARE_OF_CAPACITY = 0.5
"""Of the slower stage's: a load that every stage can carry, so that response times tell them apart, not queues."""

SCENARIO = Scenario(
    id="cancel",
    title="Cancellation",
    text="Confirmed, paid bookings are canceled, each once. Closed: 100 clients, one cancellation after the other. "
    "Open: cancellations arrive at a fixed rate, the same for every stage, whatever the answers take; latency counts "
    "from the moment when one was due.",
    variants=(
        Variant(Load("closed", users=100, requests_per_user=100), {"load": "closed"}),
        Variant(Load("open", share_of_capacity=SHARE_OF_CAPACITY), {"load": "open"}, only_full=True, if_named=True),
    ),
    prepare=prepare,
    audit=audit,
    refusals=frozenset({BookingNotCancellable.code}),
    asks_provider=True,
)
