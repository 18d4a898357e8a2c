"""Callers and data for the contract tests; all of them go through the gateway of a whole running stage."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import httpx
import pytest

from common.identity import IdentitySigner, Role
from harness.launch import RunningStage
from tests.contract.client import Api
from tests.contract.direct import Services
from tests.contract.making import Maker, making

TIMEOUT_SECONDS = 20.0

# A line of log for each of thousands of requests, kept by pytest, takes longer than some of the requests.
logging.getLogger("httpx").setLevel(logging.WARNING)


@pytest.fixture(scope="session")
def http(platform: RunningStage) -> Iterator[httpx.Client]:
    """Pooled connections to the gateway."""
    with httpx.Client(base_url=platform.gateway_url, timeout=TIMEOUT_SECONDS, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
def make(platform: RunningStage, http: httpx.Client) -> Iterator[Maker]:
    """Makes data on the stage under test."""
    with making(platform, http) as maker:
        yield maker


@pytest.fixture(scope="session")
def services(platform: RunningStage) -> Iterator[Services]:
    """The services themselves, past the gateway."""
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as client:
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
