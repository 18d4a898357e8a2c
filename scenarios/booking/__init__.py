"""Buying: 100 people book seats, each their own."""

from __future__ import annotations

from scenarios.booking.rules import audit, prepare
from scenarios.model import Load, Scenario, Variant

OVERLOAD = 3.0
"""Times what the slower stage books in the closed loop."""

SCENARIO = Scenario(
    id="booking",
    title="Booking",
    text="100 clients book one seat after the other in a closed loop, no two the same seat, over 100 shows. "
    "Counted are answers of 200; finished counts bookings committed, from the first request to the last outcome. "
    "Overload: for 30 s bookings arrive at three times the rate that the slower stage has in the closed loop, whatever "
    "the answers take; each wants a booking or a ticket at once.",
    variants=(
        Variant(Load("closed", users=100, requests_per_user=100)),
        Variant(
            Load("open", share_of_capacity=OVERLOAD, seconds=30.0), {"load": "overload"}, only_full=True, if_named=True
        ),
    ),
    prepare=prepare,
    audit=audit,
)
