"""A process dies, or stands still, under load: nothing acknowledged is lost, and everybody is answered.

Each test is one cell of the harness. Its audit compares databases, the provider's ledger and the clients' records; a
witness looks at whole answers meanwhile, and asks on until every service has come back by itself.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg

from tests.faults.cell import Ground, Struck

UNAVAILABLE = "HTTP 503, code 5000"


def held(cell: Struck, *, may_drop: bool = False) -> None:
    """Nothing is lost and nothing is double, and who asked got an answer of the contract."""
    assert cell.broken_rules() == []
    assert cell.unfinished() == 0
    assert cell.wrong_answers(may_drop=may_drop) == []
    assert cell.result.load.succeeded > 0


def test_what_stands_still_delays_and_fails_nobody(ground: Ground) -> None:
    cell = ground.strike("pause:order@0.5s+1s", "pause:postgres@2.5s+1s", scenario="booking", seconds=4.5)
    held(cell)
    assert cell.witness.longest_wait("order") > 0.7
    assert cell.witness.longest_wait("user") > 0.7
    assert [seen for seen in cell.witness.seen if seen.status != 200] == []


def test_order_service_is_killed(ground: Ground) -> None:
    cell = ground.strike("kill:order@1s", scenario="booking", seconds=5)
    held(cell)
    assert cell.outcomes[UNAVAILABLE] > 0
    assert cell.witness.unavailable("order") > 0
    assert cell.witness.unavailable("user") == 0, "a dead order-service is nothing to user-service"

    # That the audit is clean means something: it is not, once a booking that a client was told of is gone.
    told = next(attempt for attempt in cell.state.attempts if attempt.status == 200)
    with psycopg.connect(ground.running.database_urls["order"]) as database:
        database.execute("DELETE FROM bookings WHERE id = %s", [told.data[0]["id"]])
    assert [problem.partition(":")[0] for problem in cell.audited_again()] == ["acknowledged_bookings_exist"]


def test_the_database_is_killed(ground: Ground) -> None:
    cell = ground.strike("kill:postgres@1s", scenario="booking", seconds=5.5)
    held(cell)
    assert cell.outcomes[UNAVAILABLE] > 0


def test_the_gateway_is_killed(ground: Ground) -> None:
    """Its clients lose their connections; that is all they lose."""
    cell = ground.strike("kill:gateway@1s", scenario="booking", seconds=4)
    held(cell, may_drop=True)
    assert cell.witness.dropped() > 0


def test_user_service_is_killed(ground: Ground) -> None:
    cell = ground.strike("kill:user@1s", scenario="seat_lookup", seconds=4)
    held(cell)
    assert cell.result.load.failed == 0, "who has a token needs no user-service"
    assert cell.witness.unavailable("user") > 0
    assert cell.witness.unavailable("order") == 0


def waits_for_the_provider(ground: Ground) -> bool:
    """Whether who cancels is answered when the refund is done, and so is told of a provider that does not answer."""
    return "canceller" not in ground.running.stage.workers


def test_the_payment_provider_is_killed(ground: Ground, tmp_path: Path) -> None:
    cell = ground.strike("kill:payment@1s+0.5s", scenario="cancel", seconds=5)
    held(cell)
    assert (cell.outcomes.get(UNAVAILABLE, 0) > 0) == waits_for_the_provider(ground)
    assert cell.witness.unavailable("order") == 0, "without refunds, everything else goes on"

    # The audit is not clean, once the provider has given somebody's money back a second time.
    copy = tmp_path / "ledger.sqlite3"
    with closing(sqlite3.connect(ground.running.ledger)) as ledger, closing(sqlite3.connect(copy)) as other, other:
        ledger.backup(other)
        other.execute(
            "INSERT INTO cancels SELECT 'again', payment_key, 2, amount, 0, reason, canceled_ms FROM cancels LIMIT 1"
        )
    again = replace(cell, state=replace(cell.state, ledger=copy)).audited_again()
    assert [problem.partition(":")[0] for problem in again] == ["refunded_exactly_once"]


def test_the_payment_provider_stands_still_for_longer_than_it_may(ground: Ground) -> None:
    """Nobody knows then whether the money was given back: it is, once."""
    cell = ground.strike("pause:payment@1s+3.5s", scenario="cancel", seconds=6.5)
    held(cell)
    assert (cell.outcomes.get(UNAVAILABLE, 0) > 0) == waits_for_the_provider(ground)
    assert cell.witness.unavailable("order") == 0
