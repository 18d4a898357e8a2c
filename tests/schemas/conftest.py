"""A stage of their own for the schema tests: they delete what they find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from common.identity import IdentitySigner, Service
from harness.launch.environment import DATABASES
from harness.provision import Infrastructure
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.contract.direct import Services
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


@pytest.fixture(scope="package")
def served(open_theatre: Theatre) -> Mapping[str, dict[str, Any]]:
    """Package to the document that its service serves."""
    running = open_theatre.platform
    with plain.Client() as client:
        services = Services(client, running.service_urls, IdentitySigner(running.secrets.identity))
        return {
            package: services.ask(package, "GET", "/openapi.json", caller=Service("tests")).json()
            for package in DATABASES
        }


@pytest.fixture
def theatre(open_theatre: Theatre) -> Theatre:
    """The theatre as it was when it opened."""
    open_theatre.restore()
    return open_theatre
