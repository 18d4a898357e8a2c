"""The stage that a folder's tests take, and a running one.

A folder's ``conftest.py`` imports what it uses of these. A fixture of package scope lives as long as the tests of the
folder that it is defined in, or imported into: stages and servers that were left running until the end took half a
core from the tests of other folders.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.launch import RunningStage, Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, drop_database
from harness.stages.manifest import Stage
from harness.supervise import Supervisor


@pytest.fixture(scope="package")
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each of the stages on which the tests are to run (``stage_choice.py``) in turn."""
    chosen: Stage = request.param
    return chosen


@pytest.fixture(scope="package")
def databases(stage: Stage, infrastructure: Infrastructure) -> Iterator[dict[str, str]]:
    """Package to the URL of an empty database of its own.

    Dropped in the end: where the tests of two stages take turns, pytest makes this again for the first one.
    """
    names = {package: f"test_{stage.id[:2]}_{name}" for package, name in DATABASES.items()}
    yield {package: create_database(infrastructure, name) for package, name in names.items()}
    for name in names.values():
        drop_database(infrastructure, name)


@pytest.fixture(scope="package")
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
