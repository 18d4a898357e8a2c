"""The scenarios that exist, by id, in the order in which they are run and reported."""

from __future__ import annotations

from scenarios import booking, cancel, concert_list, noop, on_sale, one_seat, scale, seat_lookup
from scenarios.model import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.id: scenario
    for scenario in (
        noop.SCENARIO,
        concert_list.SCENARIO,
        seat_lookup.SCENARIO,
        booking.SCENARIO,
        cancel.SCENARIO,
        one_seat.SCENARIO,
        on_sale.SCENARIO,
        scale.SCENARIO,
    )
}
