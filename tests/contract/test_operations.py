"""What operators ask: health and metrics of the gateway and of each service, without a token."""

from __future__ import annotations

import pytest

from harness.launch import RunningStage
from tests import plain
from tests.contract.client import Api, outcome
from tests.contract.making import CONCERTS

COMPONENTS = ["gateway", "user", "concert", "order"]


@pytest.mark.parametrize("component", COMPONENTS)
@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_each_process_says_that_it_is_well(component: str, path: str, platform: RunningStage) -> None:
    assert outcome(plain.get(platform.service_urls[component] + path)) == (200, 0)


@pytest.mark.parametrize("component", COMPONENTS)
def test_each_process_has_metrics_in_prometheus_text(component: str, platform: RunningStage) -> None:
    answer = plain.get(platform.service_urls[component] + "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "# TYPE http_request_seconds histogram" in answer.text
    assert "process_cpu_seconds_total" in answer.text


@pytest.mark.parametrize("component", ["gateway", "concert"])
def test_requests_are_counted(component: str, platform: RunningStage, buyer: Api) -> None:
    def counted() -> float:
        pages = [plain.get(f"http://127.0.0.1:{port}/metrics").text for port in platform.ports[component]]
        lines = "".join(pages).splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("http_request_seconds_count"))

    before = counted()
    for _ in range(3):
        buyer.get(CONCERTS)
    assert counted() >= before + 3


def test_metrics_and_logs_hold_no_secret_and_no_person(platform: RunningStage, buyer: Api) -> None:
    """Labels are bounded: no path as it was asked for, no id, no email."""
    buyer.send("GET", f"{CONCERTS}/987654321?token={buyer.token}")
    buyer.send("GET", f"/{buyer.token}")
    secrets = platform.secrets
    hidden = [secrets.jwt, secrets.identity, secrets.seller_code, secrets.manager_code, buyer.token]
    for component in COMPONENTS:
        metrics = plain.get(platform.service_urls[component] + "/metrics").text
        logs = "".join(process.log.read_text() for process in platform.processes[component])
        for secret in hidden:
            assert secret not in metrics
            assert secret not in logs
        assert "987654321" not in metrics
        assert "@example.com" not in metrics
