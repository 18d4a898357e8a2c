"""Everything dies once, while people come: every ticket has its outcome all the same, and the audit finds nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests.faults.cell import Ground
from tests.queue.conftest import OVERRIDES

# Nearly everybody waits.
LOADED = {**OVERRIDES, "GATEWAY_LIMIT_AT_MOST": "1", "GATEWAY_LIMIT_AT_LEAST": "1"}


@pytest.fixture
def ground(
    queue_stage: Stage, servers: Infrastructure, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    """The stage once more, for the harness's load."""
    servers.ensure(*(Component(name) for name in queue_stage.infrastructure))
    folder = tmp_path_factory.mktemp(f"queue-load-{queue_stage.id}")
    names = {package: f"queue_load_{name}" for package, name in DATABASES.items()}
    with launch(
        queue_stage,
        servers,
        supervisor,
        database_urls={package: create_database(servers, name) for package, name in names.items()},
        secrets=Secrets(),
        log_folder=folder / "logs",
        overrides=LOADED,
    ) as running:
        yield Ground(running, folder)


@pytest.mark.timeout(300)
def test_each_process_is_killed_while_people_come(ground: Ground) -> None:
    faults = ("kill:gateway@1s", "kill:dispatcher@2s", "kill:redis@3s", "kill:order@4s", "kill:kafka@5s")
    cell = ground.strike(*faults, scenario="booking", seconds=9)
    assert cell.broken_rules() == []
    assert cell.wrong_answers(may_drop=True) == []
    tickets = [attempt.ticket for attempt in cell.state.attempts if attempt.ticket is not None]
    assert len(tickets) > 20, "nobody waited"
    assert {ticket.state for ticket in tickets} == {"DONE"}
