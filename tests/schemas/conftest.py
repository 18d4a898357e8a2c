"""A stage of their own for the schema tests: they delete what they find."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.provision import Infrastructure
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests.own_stage import own_stage
from tests.schemas.theatre import Theatre, opened
from tests.stage_fixtures import stage as stage

# Nothing expires while the tests run, however many examples they try.
PATIENT = {"ORDER_HOLD_SECONDS": "86400"}


@pytest.fixture(scope="package")
def open_theatre(
    stage: Stage, infrastructure: Infrastructure, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    """A furnished stage, its payment provider at no latency."""
    with (
        own_stage("schemas", stage, infrastructure, supervisor, tmp_path_factory, PATIENT) as running,
        opened(running) as theatre,
    ):
        yield theatre


@pytest.fixture
def theatre(open_theatre: Theatre) -> Theatre:
    """The theatre as it was when it opened."""
    open_theatre.restore()
    return open_theatre
