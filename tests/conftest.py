"""Real servers and real stages for the tests: started once, stopped whatever happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from harness.launch import RunningStage, Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, provision
from harness.stages.manifest import STAGES_ROOT, Stage, discover_stages, find_stage
from harness.supervise import Supervisor, sweep_leftovers

STAGES = discover_stages(STAGES_ROOT)

# Package names repeat in every stage: tests that import a stage's code see one stage a run, the first unless told.
STAGE_ON_PATH = find_stage(os.environ.get("FORTICKETS_STAGE", STAGES[0].id))
sys.path.insert(0, str(STAGE_ON_PATH.folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups for ``-n``: one worker runs all tests of a folder on one stage, as they share its running processes."""
    for item in items:
        folder = item.path.relative_to(item.config.rootpath).parts[:-1]
        stage = item.callspec.params.get("stage") if hasattr(item, "callspec") else None
        own = stage.id if isinstance(stage, Stage) else "any"
        item.add_marker(pytest.mark.xdist_group("-".join([*folder, own])))


@pytest.fixture(scope="session")
def supervisor() -> Iterator[Supervisor]:
    """Owns every process that the tests start."""
    sweep_leftovers()
    with Supervisor("tests") as owner:
        yield owner


@pytest.fixture(scope="session")
def infrastructure(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """PostgreSQL for the whole session; what else a test needs, it ``ensure``s."""
    logs = tmp_path_factory.mktemp("servers")
    with provision("embedded", supervisor, log_folder=logs, report=print) as servers:
        servers.ensure(Component.POSTGRES)
        yield servers


@pytest.fixture(scope="session", params=STAGES, ids=lambda stage: stage.id)
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each stage in turn."""
    chosen: Stage = request.param
    return chosen


@pytest.fixture(scope="session")
def databases(stage: Stage, infrastructure: Infrastructure) -> dict[str, str]:
    """Package to the URL of an empty database of its own."""
    return {
        package: create_database(infrastructure, f"test_{stage.id[:2]}_{name}") for package, name in DATABASES.items()
    }


@pytest.fixture(scope="session")
def platform(
    stage: Stage,
    infrastructure: Infrastructure,
    supervisor: Supervisor,
    databases: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[RunningStage]:
    """A whole stage behind its gateway, on free ports, uncapped, its databases migrated and empty."""
    infrastructure.ensure(*(Component(name) for name in stage.infrastructure))
    with launch(
        stage,
        infrastructure,
        supervisor,
        database_urls=databases,
        secrets=Secrets(),
        log_folder=tmp_path_factory.mktemp(stage.id),
    ) as running:
        yield running
