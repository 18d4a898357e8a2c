"""The rush: thousands of people want the same seat at the same moment."""

from __future__ import annotations

from common.errors import SeatAlreadyBooked
from scenarios.model import Load, Scenario, Variant
from scenarios.one_seat.rules import audit, prepare

SCENARIO = Scenario(
    id="one_seat",
    title="One seat",
    text="1,000 and 5,000 clients ask for the same seat at the same moment, once each. One of them gets it; "
    "'already booked' is an answer as good as the booking, a 5xx, a time-out or a dropped connection is none. A burst "
    "has no throughput: what counts is who was answered, and how long that took.",
    variants=(
        Variant(Load("burst", users=1_000), {"buyers": 1_000}),
        Variant(Load("burst", users=5_000), {"buyers": 5_000}, only_full=True),
    ),
    prepare=prepare,
    audit=audit,
    refusals=frozenset({SeatAlreadyBooked.code}),
)
