"""The scenarios that exist, by id, in the order in which they are run and reported."""

from __future__ import annotations

from scenarios import concert_list, noop, seat_lookup
from scenarios.model import Scenario

SCENARIOS: dict[str, Scenario] = {
    scenario.id: scenario for scenario in (noop.SCENARIO, concert_list.SCENARIO, seat_lookup.SCENARIO)
}
