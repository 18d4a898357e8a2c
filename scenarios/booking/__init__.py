"""Buying: 100 people book seats, each their own."""

from __future__ import annotations

from scenarios.booking.rules import audit, prepare
from scenarios.model import Load, Scenario, Variant

SCENARIO = Scenario(
    id="booking",
    title="Booking",
    text="100 clients book one seat after the other in a closed loop, no two the same seat, over 100 shows. "
    "Counted are answers of 200; finished counts bookings committed, from the first request to the last outcome.",
    variants=(Variant(Load("closed", users=100, requests_per_user=100)),),
    prepare=prepare,
    audit=audit,
)
