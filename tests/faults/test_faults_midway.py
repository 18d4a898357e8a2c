"""order-service dies where it hurts most: the provider has acted, and nothing of it has been committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from scenarios.model import CellState
from tests.faults.cell import Ground
from tests.faults.money import outcomes
from tests.faults.payers import Payers, paying


def test_order_service_is_killed_between_the_providers_act_and_its_own_commit(ground: Ground) -> None:
    """Payments and refunds alike; the provider's ledger shows that money had moved before the kill."""
    seen: list[Payers] = []

    @contextmanager
    def beside(state: CellState) -> Iterator[None]:
        with paying(state) as payers:
            seen.append(payers)
            yield

    def midway_now() -> bool:
        return seen[0].some_are_midway()

    cell = ground.strike("kill:order@1s", scenario="cancel", seconds=5.5, beside=beside, when=midway_now)

    (payers,) = seen
    assert cell.broken_rules() == []
    assert cell.unfinished() == 0
    assert cell.wrong_answers() == []
    assert payers.wrong == []
    assert set(payers.told) == {(503, 5000)}

    caught = outcomes(cell.state, payers.caught)
    midway = [end for end in caught if end.taken and end.taken_at < cell.struck_at < end.settled_at]
    assert midway, caught
    assert [end for end in caught if not end.is_right] == []

    # A payer who was told nothing asks again: one more answer, no more money.
    assert {payers.complete_again(end.purchase) for end in midway if end.is_paid} <= {(200, 0)}
    assert [end.taken for end in outcomes(cell.state, payers.caught)] == [end.taken for end in caught]

    # Those who repeated what was not answered have paid for each seat, once.
    steady = outcomes(cell.state, payers.steady)
    assert [end for end in steady if not (end.is_paid and end.is_right)] == []
    assert max(end.taken_at for end in steady) > cell.struck_at, "and went on after the kill"
