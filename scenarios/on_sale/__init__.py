"""On-sale time: people come, and then many more come at once."""

from __future__ import annotations

from common.errors import SeatAlreadyBooked
from scenarios.arrivals import Surge
from scenarios.model import Load, Scenario, Variant
from scenarios.on_sale.rules import CANCELING_SHARE, POLLING_SHARE, SHOWS, audit, prepare

SHARE_OF_CAPACITY = 0.25
"""Of the slower stage's bookings a second: visits that every stage can carry, payment and all."""

SURGE = Surge(times=12.0, at_seconds=5.0, seconds=5.0)
"""Three times the capacity for bookings alone."""

SCENARIO = Scenario(
    id="on_sale",
    title="On-sale rush",
    text=f"Visits to {SHOWS} shows arrive at a fixed rate, a quarter of the bookings a second that the slower stage is "
    f"capable of; from second {SURGE.at_seconds:.0f} on, twelve times as many for {SURGE.seconds:.0f} s. A visitor "
    "opens a page of concerts, looks at the seats of a show, books one that was free, pays for it, and one of "
    f"{round(1 / CANCELING_SHARE)} cancels. Who is told to wait leaves; one of {round(1 / POLLING_SHARE)} stays to "
    "watch the ticket, and pays when it has come to a booking.",
    variants=(
        Variant(
            Load("open", share_of_capacity=SHARE_OF_CAPACITY, capacity_of="booking", surge=SURGE, seconds=30.0),
            only_full=True,
            if_named=True,
        ),
    ),
    prepare=prepare,
    audit=audit,
    refusals=frozenset({SeatAlreadyBooked.code}),
    asks_provider=True,
    mixed=True,
)
