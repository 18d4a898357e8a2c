"""Callers and data for the contract tests; all of them go through the gateway of a whole running stage."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest

from common.identity import IdentitySigner, Role
from harness.launch import RunningStage
from harness.provision import Infrastructure
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.contract.client import Api
from tests.contract.direct import Services
from tests.contract.making import Maker, making
from tests.contract.ordering import Shop, shopping
from tests.own_stage import ONE_OF_EACH, own_stage
from tests.stage_fixtures import databases as databases
from tests.stage_fixtures import platform as platform
from tests.stage_fixtures import stage as stage

TIMEOUT_SECONDS = 20.0

# The workers are at it at once, but nothing expires unless a test makes it old.
HASTY = {"ORDER_HOLD_SECONDS": "3600", "ORDER_PROVIDER_SECONDS": "1", "ORDER_SWEEP_SECONDS": "0.05"}

# A line of log for each of thousands of requests, kept by pytest, takes longer than some of the requests.
logging.getLogger("httpx").setLevel(logging.WARNING)


@pytest.fixture(scope="package")
def http(platform: RunningStage) -> Iterator[httpx.Client]:
    """Pooled connections to the gateway."""
    with plain.Client(base_url=platform.gateway_url, timeout=TIMEOUT_SECONDS) as client:
        yield client


@pytest.fixture(scope="package")
def make(platform: RunningStage, http: httpx.Client) -> Iterator[Maker]:
    """Makes data on the stage under test."""
    with making(platform, http) as maker:
        yield maker


@pytest.fixture(scope="package")
def services(platform: RunningStage) -> Iterator[Services]:
    """The services themselves, past the gateway."""
    with plain.Client(timeout=TIMEOUT_SECONDS) as client:
        yield Services(client, platform.service_urls, IdentitySigner(platform.secrets.identity))


@pytest.fixture
def nobody(http: httpx.Client) -> Api:
    """A client without a token."""
    return Api(http)


@pytest.fixture
def buyer(make: Maker) -> Api:
    """A new person with a token."""
    return make.person(Role.USER)


@pytest.fixture
def seller(make: Maker) -> Api:
    """A new seller with a token."""
    return make.person(Role.SELLER)


@pytest.fixture
def manager(make: Maker) -> Api:
    """A new manager with a token."""
    return make.person(Role.MANAGER)


@pytest.fixture(scope="package")
def shop(make: Maker) -> Iterator[Shop]:
    """A show on sale on the stage under test."""
    with shopping(make) as open_shop:
        yield open_shop


@pytest.fixture(scope="package")
def hasty(
    stage: Stage, infrastructure: Infrastructure, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A show on a stage of its own that does at once what is due, and does not wait long for the provider."""
    with (
        own_stage(
            "hasty", stage.with_replicas(ONE_OF_EACH), infrastructure, supervisor, tmp_path_factory, HASTY
        ) as running,
        plain.Client(base_url=running.gateway_url, timeout=TIMEOUT_SECONDS) as client,
        making(running, client) as maker,
        shopping(maker) as open_shop,
    ):
        yield open_shop
