"""A gateway and the services behind it: real processes and real servers, started once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.stages.manifest import Stage
from harness.supervise import Supervisor, free_port
from tests.gateway.gateway_process import GatewayProcess, running_gateway
from tests.gateway.upstreams import Echo, Misbehaving, running
from tests.stage_fixtures import stage as stage

StartGateway = Callable[..., AbstractContextManager[GatewayProcess]]


@pytest.fixture(scope="package")
def stage_path(stage: Stage) -> Path:
    """The stage whose gateway is tested."""
    return stage.folder


@pytest.fixture(scope="package")
def servers() -> Iterator[tuple[Echo, Misbehaving, dict[str, str]]]:
    echo, misbehaving = Echo(), Misbehaving()
    with running(echo, misbehaving) as (echo_port, wild_port):
        echo_url = f"http://127.0.0.1:{echo_port}"
        yield (
            echo,
            misbehaving,
            {
                "user-service": echo_url,
                "concert-service": echo_url,
                "order-service": echo_url,
                "wild-service": f"http://127.0.0.1:{wild_port}",
                "down-service": f"http://127.0.0.1:{free_port()}",
            },
        )


@pytest.fixture
def echo(servers: tuple[Echo, Misbehaving, dict[str, str]]) -> Iterator[Echo]:
    servers[0].reset()
    yield servers[0]
    servers[0].finish.set()


@pytest.fixture
def misbehaving(servers: tuple[Echo, Misbehaving, dict[str, str]]) -> Misbehaving:
    servers[1].requests.clear()
    return servers[1]


@pytest.fixture(scope="package")
def start_gateway(
    stage_path: Path,
    servers: tuple[Echo, Misbehaving, dict[str, str]],
    supervisor: Supervisor,
    tmp_path_factory: pytest.TempPathFactory,
) -> StartGateway:
    """Starts another gateway before the same services, with settings of its own."""

    def start(**settings: object) -> AbstractContextManager[GatewayProcess]:
        log = tmp_path_factory.mktemp("gateway") / "gateway.log"
        return running_gateway(stage_path, supervisor, log, servers[2], **settings)

    return start


@pytest.fixture(scope="package")
def gateway(start_gateway: StartGateway) -> Iterator[GatewayProcess]:
    """The gateway with its default settings."""
    with start_gateway() as process:
        yield process


@pytest.fixture(scope="package")
def impatient_gateway(start_gateway: StartGateway) -> Iterator[GatewayProcess]:
    """One that waits 0.3 s for a whole answer."""
    with start_gateway(answer_seconds=0.3) as process:
        yield process
