"""Each stage with a dispatcher, on servers of its own: they are killed here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.launch import RunningStage
from harness.provision import Infrastructure, provision
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.conftest import STAGES
from tests.contract.client import Api
from tests.contract.making import making
from tests.contract.ordering import shopping
from tests.own_stage import own_stage
from tests.queue.line import ABANDONED_AFTER, LIMIT, READ_LIMIT, WINDOW, Line

WORKER = "dispatcher"

REPLICAS = {"gateway": 2, "concert": 1, "order": 1}

OVERRIDES = {
    "ORDER_SWEEP_SECONDS": "0.2",
    "GATEWAY_QUEUE_WINDOW": f"{WINDOW}",
    "GATEWAY_QUEUED_ROUTES": '["POST /bookings", "PATCH /bookings/cancel/{id}"]',
    # A thousand come at once, other tests run beside them, and Kafka's answer is not what is asked about.
    "GATEWAY_KAFKA_SECONDS": "3",
    "GATEWAY_LIMIT_AT_MOST": f"{LIMIT}",
    "GATEWAY_LIMIT_AT_LEAST": f"{LIMIT}",
    "GATEWAY_READ_LIMIT": f"{READ_LIMIT}",
    "GATEWAY_ABANDON_AFTER_SECONDS": f"{ABANDONED_AFTER}",
}


@pytest.fixture(
    scope="package", params=[stage for stage in STAGES if WORKER in stage.workers], ids=lambda stage: stage.id
)
def queue_stage(request: pytest.FixtureRequest) -> Stage:
    """Each stage with an admission queue."""
    chosen: Stage = request.param
    return chosen


@pytest.fixture(autouse=True)
def tickets_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """People see the ticket that they are given, not only what it ends in."""
    monkeypatch.setattr(Api, "follows_tickets", False)


@pytest.fixture(scope="package")
def servers(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """Nobody else's servers are in the line of fire."""
    logs = tmp_path_factory.mktemp("queue-servers")
    with provision("embedded", supervisor, log_folder=logs, report=print) as own:
        yield own


@pytest.fixture(scope="package")
def running(
    queue_stage: Stage, servers: Infrastructure, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStage]:
    """The stage with two gateways, where more than a few at once wait."""
    scaled = queue_stage.with_replicas(REPLICAS)
    with own_stage("line", scaled, servers, supervisor, tmp_path_factory, OVERRIDES) as running:
        yield running


@pytest.fixture(scope="package")
def line(running: RunningStage) -> Iterator[Line]:
    """The line of a running stage, with nobody in it."""
    with (
        plain.Client(base_url=running.gateway_url, timeout=30) as client,
        making(running, client) as maker,
        shopping(maker) as shop,
    ):
        yield Line(shop)
