"""The gateway as a process of its own, as it runs in production."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil

from harness.stages.manifest import REPOSITORY
from harness.supervise import Supervisor, free_port
from tests.gateway.asking import SECRETS, ask
from tests.polling import until as until


class GatewayProcess:
    """One gateway. ``log`` is what it wrote so far."""

    def __init__(
        self,
        stage_path: Path,
        supervisor: Supervisor,
        log_path: Path,
        service_urls: Mapping[str, str],
        **settings: object,
    ) -> None:
        self.port = free_port()
        self._log_path = log_path
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
            "PYTHONPATH": os.pathsep.join([str(stage_path), str(REPOSITORY)]),
            **SECRETS,
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_SERVICE_URLS": json.dumps(dict(service_urls)),
            **{f"GATEWAY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.process = supervisor.spawn(
            "gateway",
            [sys.executable, "-m", "common.serve", "gateway"],
            env=environment,
            cwd=REPOSITORY,
            log=log_path,
            grace_seconds=15.0,
        )

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    @property
    def resident_bytes(self) -> int:
        resident: int = psutil.Process(self.process.pid).memory_info().rss
        return resident

    def is_ready(self) -> bool:
        assert self.process.alive(), self.log
        try:
            return ask(self.port, "/health/ready", token=False).status == 200
        except OSError:
            return False

    def metric(self, name: str) -> float:
        """The value of one sample of ``/metrics``, 0 while there is none."""
        for line in ask(self.port, "/metrics", token=False).body.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0


@contextmanager
def running_gateway(
    stage_path: Path, supervisor: Supervisor, log_path: Path, service_urls: Mapping[str, str], **settings: object
) -> Iterator[GatewayProcess]:
    """A gateway that is ready, and is ended whatever becomes of the test."""
    gateway = GatewayProcess(stage_path, supervisor, log_path, service_urls, **settings)
    try:
        assert until(gateway.is_ready), gateway.log
        yield gateway
    finally:
        supervisor.release(gateway.process)
