"""A stage with a canceller, on servers of its own: Kafka is killed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from harness.launch import RunningStage
from harness.provision import Component, Infrastructure, provision
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.async_cancel.stage_hall import Hall
from tests.contract.making import making
from tests.contract.ordering import shopping
from tests.faults.cell import Ground, Struck
from tests.own_stage import ONE_OF_EACH, own_stage
from tests.recoveries import TOLD
from tests.stage_fixtures import stage as stage

OVERRIDES = {
    # A fault under load finds refunds under way; in a hall, the provider answers at once.
    "PAYMENT_LATENCY_MEDIAN_MS": "100",
    "ORDER_PROVIDER_SECONDS": "3",
    "ORDER_SWEEP_SECONDS": "0.2",
}

# Trimmed while the tests run; that it is gone is looked at in the end.
LITTER = """
    INSERT INTO outbox (key, body, request_id, created_at, published_at)
    SELECT 'litter', '{}', 'litter', now() - age, now() - age
    FROM (VALUES (interval '2 hours'), (interval '61 minutes'), (interval '30 minutes')) AS litter(age)
    RETURNING id
"""


@pytest.fixture(scope="package")
def servers(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """Nobody else's servers are in the line of fire."""
    logs = tmp_path_factory.mktemp("async-servers")
    with provision("embedded", supervisor, log_folder=logs, report=print) as own:
        own.ensure(Component.POSTGRES, Component.KAFKA)
        yield own


@pytest.fixture(scope="package")
def running(
    stage: Stage, servers: Infrastructure, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStage]:
    """The stage, for the harness's load (``ground``), and after it for all others (``hall``)."""
    with own_stage(
        "async", stage.with_replicas(ONE_OF_EACH), servers, supervisor, tmp_path_factory, OVERRIDES
    ) as running:
        yield running


@pytest.fixture(scope="module")
def ground(running: RunningStage, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """For cells of the harness, before anybody has a hall."""
    return Ground(running, tmp_path_factory.mktemp("async-cells"))


@pytest.fixture
def tell(ground: Ground, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """What came of the faults of a test is told at the end, if it went well."""
    before = len(ground.cells)
    yield
    for cell in ground.cells[before:]:
        record_property(TOLD, f"{ground.running.stage.id}  {_story(cell)}")


def _story(cell: Struck) -> str:
    """What was struck, and when everything was as it should be again."""
    last = cell.result.faults[-1]
    assert last.began is not None
    assert last.ended is not None
    with psycopg.connect(cell.state.database_urls["order"]) as database:
        query = "SELECT extract(epoch FROM max(updated_at))::float FROM bookings WHERE status = 'CANCELED'"
        (done,) = database.execute(query).fetchone() or (0.0,)
    over = cell.struck_at + last.ended - (cell.result.faults[0].began or 0.0)
    faults = ", ".join(str(run.fault) for run in cell.result.faults)
    return (
        f"{faults}: everybody answered {cell.back_after:.1f} s after it, the last refund {max(0.0, done - over):.1f} s "
        f"after it was over; {cell.result.load.failed:,} of {sum(cell.outcomes.values()):,} requests failed"
    )


@pytest.fixture(scope="package")
def hall(running: RunningStage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """A show on sale, and a provider that answers at once."""
    with (
        plain.Client(base_url=running.gateway_url, timeout=30) as client,
        making(running, client) as maker,
        shopping(maker) as shop,
    ):
        maker.rows("order", LITTER)
        told = {name: processes[0].env for name, processes in running.processes.items()}
        yield Hall(shop, tmp_path_factory.mktemp("async-more"), told)
