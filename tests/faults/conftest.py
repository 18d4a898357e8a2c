"""A stage on servers of its own, to be broken; what its recoveries took is told at the end of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, create_database, provision
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests.faults.cell import Ground
from tests.recoveries import TOLD
from tests.stage_fixtures import stage as stage

OVERRIDES = {
    # A fault finds refunds and confirmations under way, and what it leaves in doubt is settled soon.
    "PAYMENT_LATENCY_MEDIAN_MS": "100",
    "ORDER_PROVIDER_SECONDS": "3",
    "ORDER_SWEEP_SECONDS": "0.2",
}


@pytest.fixture(scope="package")
def ground(stage: Stage, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """The stage under test, uncapped. Nobody else's servers are in the line of fire."""
    folder = tmp_path_factory.mktemp(f"faults-{stage.id}")
    with provision("embedded", supervisor, log_folder=folder / "servers", report=print) as servers:
        servers.ensure(Component.POSTGRES, *(Component(name) for name in stage.infrastructure))
        with launch(
            stage,
            servers,
            supervisor,
            database_urls={package: create_database(servers, name) for package, name in DATABASES.items()},
            secrets=Secrets(),
            log_folder=folder / "logs",
            overrides=OVERRIDES,
        ) as running:
            yield Ground(running, folder)


@pytest.fixture(autouse=True)
def tell(ground: Ground, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Time to recover: the harness' figure from the load's rate, and what a single client saw."""
    before = len(ground.cells)
    yield
    for cell in ground.cells[before:]:
        faults = ", ".join(
            f"{run.fault} {'not within the load' if seconds is None else f'{seconds:.1f} s'}"
            for run, seconds in cell.recoveries
        )
        failed, asked = cell.result.load.failed, sum(cell.outcomes.values())
        record_property(
            TOLD,
            f"{ground.running.stage.id}  {cell.scenario.id}: {faults}; everybody served again {cell.back_after:.2f} s "
            f"after it; {failed:,} of {asked:,} requests failed",
        )
