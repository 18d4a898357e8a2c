"""A stage of their own for the schema tests: they delete what they find."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, drop_database
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests.schemas.theatre import Theatre, opened

# Nothing expires while the tests run, however many examples they try.
PATIENT = {"ORDER_HOLD_SECONDS": "86400"}


@pytest.fixture(scope="session")
def open_theatre(
    stage: Stage, infrastructure: Infrastructure, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    """A furnished stage, its payment provider at no latency."""
    infrastructure.ensure(*(Component(name) for name in stage.infrastructure))
    names = {package: f"schemas_{stage.id[:2]}_{name}" for package, name in DATABASES.items()}
    with (
        launch(
            stage,
            infrastructure,
            supervisor,
            database_urls={package: create_database(infrastructure, name) for package, name in names.items()},
            secrets=Secrets(),
            log_folder=tmp_path_factory.mktemp(f"schemas-{stage.id}"),
            overrides=PATIENT,
        ) as running,
        opened(running) as theatre,
    ):
        yield theatre
    for name in names.values():
        drop_database(infrastructure, name)


@pytest.fixture
def theatre(open_theatre: Theatre) -> Theatre:
    """The theatre as it was when it opened."""
    open_theatre.restore()
    return open_theatre
