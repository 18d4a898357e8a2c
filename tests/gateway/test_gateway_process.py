"""The gateway as a process: starting, stopping, logging, counting."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.stages.manifest import REPOSITORY
from tests.gateway.asking import IDENTITY_KEY, JWT_SECRET, SECRETS, TOKEN, ask
from tests.gateway.conftest import StartGateway
from tests.gateway.gateway_process import GatewayProcess, until
from tests.gateway.upstreams import Echo


def test_a_request_in_flight_is_finished_on_sigterm(start_gateway: StartGateway, echo: Echo) -> None:
    with start_gateway() as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
            connection.sendall(
                f"GET /concert-service/slow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
            )
            assert echo.entered.wait(5)
            os.kill(gateway.process.pid, signal.SIGTERM)
            assert until(lambda: "Shutting down" in gateway.log)
            assert until(lambda: not _accepts(gateway.port)), "a stopping gateway takes no new connections"
            echo.finish.set()
            assert connection.recv(10_000).startswith(b"HTTP/1.1 200 OK")
        assert gateway.process.wait(10) in (0, -signal.SIGTERM)
        assert "Traceback" not in gateway.log


def test_a_request_that_does_not_end_cannot_hold_the_gateway_up(start_gateway: StartGateway, echo: Echo) -> None:
    with start_gateway(shutdown_seconds=1) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
            connection.sendall(
                f"GET /concert-service/slow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
            )
            assert echo.entered.wait(5)
            os.kill(gateway.process.pid, signal.SIGTERM)
            assert gateway.process.wait(8) is not None
        assert echo.cancelled.wait(5)


def test_no_secret_and_no_token_is_logged(start_gateway: StartGateway) -> None:
    with start_gateway(log_level="DEBUG") as gateway:
        ask(gateway.port, "/concert-service/concerts?secret=in-the-query")
        ask(
            gateway.port,
            "/down-service/concerts?secret=in-the-query",
            method="POST",
            body=b'{"password":"in-the-body"}',
        )
        ask(gateway.port, "/wild-service/babbles?secret=in-the-query")
        ask(gateway.port, "/concert-service/concerts", ("Authorization", f"Bearer {TOKEN}x"), token=False)
        ask(gateway.port, "/concert-service//concerts")
        log = gateway.log
    assert "down-service" in log, "failures are logged"
    signature = TOKEN.rpartition(".")[2]
    for secret in (JWT_SECRET, IDENTITY_KEY, signature, "in-the-query", "in-the-body"):
        assert secret not in log


def test_failures_are_logged_under_the_request_s_id(gateway: GatewayProcess) -> None:
    ask(gateway.port, "/down-service/x", ("X-Request-Id", "find-me-again"))
    assert "[find-me-again] down-service" in gateway.log


def test_token_checks_are_counted(start_gateway: StartGateway) -> None:
    with start_gateway() as gateway:
        for _ in range(3):
            ask(gateway.port, "/concert-service/concerts")
        ask(gateway.port, "/concert-service/concerts", ("Authorization", "Bearer forged"), token=False)
        assert gateway.metric('gateway_token_checks_total{answered_from="cache"}') == 2
        assert gateway.metric('gateway_token_checks_total{answered_from="verification"}') == 2
        assert gateway.metric("gateway_tokens_remembered") == 1


def test_nothing_that_a_client_chooses_makes_metrics_grow(gateway: GatewayProcess) -> None:
    def samples() -> int:
        return ask(gateway.port, "/metrics", token=False).body.count(b"\n")

    for target in ("/concert-service/a", "/ghost-service/a", "/concert-service//a"):
        ask(gateway.port, target)
    before = samples()
    for number in range(20):
        for target in (f"/concert-service/{number}", f"/ghost-{number}/a", f"/concert-service//{number}"):
            ask(gateway.port, target)
    assert samples() == before


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("JWT_SECRET", "too short"),
        ("IDENTITY_KEY", None),
        ("GATEWAY_SERVICE_URLS", "not json"),
        ("GATEWAY_SERVICE_URLS", json.dumps({"user-service": "ftp://host"})),
        ("GATEWAY_SERVICE_URLS", json.dumps({"user-service": "http://host/path"})),
        ("GATEWAY_SERVICE_URLS", json.dumps({"a/b": "http://host"})),
        ("GATEWAY_ANSWER_SECONDS", "0"),
        ("GATEWAY_PORT", "70000"),
    ],
)
def test_a_wrong_setting_is_named_and_its_value_is_not_shown(
    stage_path: Path, variable: str, value: str | None
) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{stage_path}{os.pathsep}{REPOSITORY}", **SECRETS}
    if value is None:
        del environment[variable]
    else:
        environment[variable] = value
    done = subprocess.run(
        [sys.executable, "-m", "common.serve", "gateway"],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert variable.removeprefix("GATEWAY_").lower() in done.stderr.lower()
    assert JWT_SECRET not in done.stderr
    assert IDENTITY_KEY not in done.stderr


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
