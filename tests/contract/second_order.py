"""One more order-service on a running stage, for as long as a block lasts."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from harness.launch import RunningStage
from harness.launch.environment import Wiring, process_environment
from harness.stages.manifest import REPOSITORY
from harness.supervise import ManagedProcess, Supervisor, free_port
from tests import plain
from tests.polling import until


@dataclass(frozen=True)
class SecondOrder:
    """Beside the one that the stage was launched with; where they find each other, the gateway uses both."""

    process: ManagedProcess
    url: str


@contextmanager
def second_order(
    running: RunningStage, supervisor: Supervisor, logs: Path, overrides: Mapping[str, str]
) -> Iterator[SecondOrder]:
    """``overrides`` are those that the stage was launched with."""
    port = free_port()
    wiring = Wiring(
        stage=running.stage, infrastructure=running.infrastructure, database_urls=running.database_urls,
        service_urls=running.service_urls, secrets=running.secrets, prefix=running.prefix, ledger=running.ledger,
        seed=1, overrides=overrides,
    )  # fmt: skip
    process = supervisor.spawn(
        "order-2",
        [sys.executable, "-m", "common.serve", "order"],
        env=process_environment(wiring, "order", port),
        cwd=REPOSITORY,
        log=logs / "order-2.log",
        grace_seconds=15.0,
    )
    try:
        with plain.Client(base_url=f"http://127.0.0.1:{port}") as client:
            assert until(lambda: _is_ready(client) or not process.alive(), 60), process.tail()
        assert process.alive(), process.tail()
        yield SecondOrder(process, f"http://127.0.0.1:{port}")
    finally:
        supervisor.release(process)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.TransportError:
        return False
