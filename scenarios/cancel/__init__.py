"""Changing one's mind: 100 people cancel bookings that they have paid for."""

from __future__ import annotations

from common.errors import BookingNotCancellable
from scenarios.cancel.rules import audit, prepare
from scenarios.model import Load, Scenario, Variant

SCENARIO = Scenario(
    id="cancel",
    title="Cancellation",
    text="100 clients cancel confirmed, paid bookings one after the other in a closed loop, each booking once. "
    "The payment provider simulator takes its time (log-normal, median 600 ms), the same for every stage.",
    variants=(Variant(Load("closed", users=100, requests_per_user=100), {"load": "closed"}),),
    prepare=prepare,
    audit=audit,
    refusals=frozenset({BookingNotCancellable.code}),
)
