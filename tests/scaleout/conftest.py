"""A stage whose instances come and go, on servers of its own: Redis is killed and emptied here.

One stage for all tests of the folder: leases of seats that are shorter than by default are nothing to discovery.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, create_database, provision
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.conftest import STAGES
from tests.contract.making import making
from tests.contract.ordering import Shop, shopping
from tests.scaleout.box_office import OVERRIDES
from tests.scaleout.floor import Floor

# Where bookings wait, who comes and goes is noticed by nobody; the code under test is the same.
SCALED = [stage for stage in STAGES if stage.discovery != "static" and "dispatcher" not in stage.workers]


@pytest.fixture(scope="package", params=SCALED, ids=lambda stage: stage.id)
def scaled_stage(request: pytest.FixtureRequest) -> Stage:
    """Each stage whose instances find each other, and that answers at once."""
    chosen: Stage = request.param
    return chosen


@pytest.fixture(scope="package")
def shop(scaled_stage: Stage, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A show on sale, two instances of order-service selling it."""
    logs = tmp_path_factory.mktemp(f"scaleout-{scaled_stage.id}")
    with provision("embedded", supervisor, log_folder=logs / "servers", report=print) as servers:
        servers.ensure(Component.POSTGRES, *(Component(name) for name in scaled_stage.infrastructure))
        with (
            launch(
                scaled_stage,
                servers,
                supervisor,
                database_urls={package: create_database(servers, name) for package, name in DATABASES.items()},
                secrets=Secrets(),
                log_folder=logs,
                overrides=OVERRIDES,
            ) as running,
            plain.Client(base_url=running.gateway_url, timeout=30) as client,
            making(running, client) as maker,
            shopping(maker) as shop,
        ):
            yield shop


@pytest.fixture
def floor(shop: Shop) -> Floor:
    return Floor(shop)
