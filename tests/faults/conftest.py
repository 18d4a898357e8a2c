"""A stage on servers of its own, to be broken; what its recoveries took is told at the end of the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, create_database, provision
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests.faults.cell import Ground, Struck

OVERRIDES = {
    # A fault finds refunds and confirmations under way, and what it leaves in doubt is settled soon.
    "PAYMENT_LATENCY_MEDIAN_MS": "100",
    "ORDER_PROVIDER_SECONDS": "3",
    "ORDER_SWEEP_SECONDS": "0.2",
}

_told = pytest.StashKey[list[tuple[str, Struck]]]()


@pytest.fixture(scope="package")
def ground(
    stage: Stage, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Ground]:
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
            ground = Ground(running, folder)
            yield ground
            told = pytestconfig.stash.setdefault(_told, [])
            told.extend((stage.id, cell) for cell in ground.cells)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Time to recover: the harness' figure from the load's rate, and what a single client saw."""
    cells = config.stash.get(_told, [])
    if not cells:
        return
    terminalreporter.section("faults under load: time to recover")
    for stage, cell in cells:
        for run, seconds in cell.recoveries:
            recovery = "not within the load" if seconds is None else f"{seconds:.1f} s"
            terminalreporter.write_line(f"{stage}  {cell.scenario.id:12} {run.fault!s:22} {recovery}")
        failed, asked = cell.result.load.failed, sum(cell.outcomes.values())
        terminalreporter.write_line(
            f"    everybody served again {cell.back_after:.2f} s after it; {failed:,} of {asked:,} requests failed"
        )
