"""What cancellation depends on dies, or stands still, under load: nobody waits for it, and nothing is lost.

Each test is one cell of the harness, with its audit of databases and ledger.
"""

from __future__ import annotations

import psycopg
import pytest

from tests.async_cancel.broker import Broker
from tests.async_cancel.stage_hall import CANCELLATIONS, DEAD, GROUP
from tests.faults.cell import Ground, Struck
from tests.polling import until

pytestmark = [pytest.mark.usefixtures("tell"), pytest.mark.empties_databases]

# Longer than anybody has patience with the broker: order-service and its worker 5 s, a consumer's session 6 s.
BROKER_AWAY = "1s+7s"


def held(cell: Struck, ground: Ground) -> None:
    """Each accepted cancellation is done once, everybody was answered, and nothing is left over."""
    assert cell.broken_rules() == []
    assert cell.unfinished() == 0
    assert cell.wrong_answers() == []
    assert cell.result.load.succeeded > 0
    with psycopg.connect(ground.running.database_urls["order"]) as database:
        query = "SELECT count(*) FROM outbox WHERE published_at IS NULL"
        assert until(lambda: database.execute(query).fetchone() == (0,))
    broker = Broker(ground.running.infrastructure.kafka_bootstrap, f"{ground.running.prefix}.")
    assert until(lambda: broker.committed(GROUP) == broker.ends(CANCELLATIONS))
    assert broker.ends(DEAD) == {}


def nobody_waited(cell: Struck) -> None:
    """A client is told of a cancellation by the database alone."""
    assert {kind for kind, count in cell.outcomes.items() if count and kind.startswith("HTTP 503")} == set()


def test_the_broker_is_killed(ground: Ground) -> None:
    cell = ground.strike(f"kill:kafka@{BROKER_AWAY}", scenario="cancel", seconds=11)
    held(cell, ground)
    nobody_waited(cell)


def test_the_broker_stands_still(ground: Ground) -> None:
    cell = ground.strike(f"pause:kafka@{BROKER_AWAY}", scenario="cancel", seconds=11)
    held(cell, ground)
    nobody_waited(cell)


def test_the_provider_and_the_cache_are_killed(ground: Ground) -> None:
    cell = ground.strike("kill:redis@0.5s", "kill:payment@1s+4s", scenario="cancel", seconds=8)
    held(cell, ground)
    nobody_waited(cell)


def test_order_service_and_its_worker_are_killed(ground: Ground) -> None:
    cell = ground.strike("kill:canceller@1s", "kill:order@2s", scenario="cancel", seconds=5)
    held(cell, ground)
