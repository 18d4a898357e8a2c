"""Services that are down, slow or broken, and clients that leave."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest

from gateway.settings import GatewaySettings
from gateway.upstream import UpstreamClient
from tests.gateway.asking import SECRETS, TOKEN, ask, ask_raw
from tests.gateway.conftest import StartGateway
from tests.gateway.gateway_process import GatewayProcess, until
from tests.gateway.upstreams import Echo, Misbehaving

MIB = 1_048_576


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("target", ["/down-service/x", "/wild-service/resets", "/wild-service/hangs-up",
                                    "/wild-service/babbles", "/wild-service/breaks-off-small"])  # fmt: skip
def test_a_service_that_gives_no_answer_is_503_with_retry_after(
    gateway: GatewayProcess, target: str, method: str
) -> None:
    answer = ask(gateway.port, target, method=method, body=b"{}" if method == "POST" else None)
    assert answer.outcome == (503, 5000)
    assert answer.header("retry-after") == "1"
    assert answer.json["data"] == {}


@pytest.mark.parametrize(
    ("method", "body", "sent"),
    [
        ("GET", None, 2),
        ("DELETE", None, 2),
        ("PUT", b"{}", 2),
        ("POST", None, 1),
        ("POST", b"{}", 1),
        ("PATCH", b"{}", 1),
    ],
)
def test_only_an_idempotent_request_is_sent_twice_and_never_more(
    gateway: GatewayProcess, misbehaving: Misbehaving, method: str, body: bytes | None, sent: int
) -> None:
    assert ask(gateway.port, "/wild-service/hangs-up", method=method, body=body).status == 503
    assert misbehaving.requests[f"{method} /hangs-up"] == sent


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_connections_that_a_service_closed_while_they_were_idle_fail_no_request(
    gateway: GatewayProcess, misbehaving: Misbehaving, method: str
) -> None:
    before = misbehaving.closed
    for number in range(1, 51):
        body = b"{}" if method == "POST" else None
        assert ask(gateway.port, "/wild-service/once-per-connection", method=method, body=body).status == 200
        assert until(_closed(misbehaving, before + number))
    assert misbehaving.requests[f"{method} /once-per-connection"] == 50


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nor_do_those_whose_end_the_gateway_has_not_read_yet(
    servers: tuple[Echo, Misbehaving, dict[str, str]],
    misbehaving: Misbehaving,
    method: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    settings = GatewaySettings(service_urls=servers[2])

    async def twice() -> list[int]:
        client = UpstreamClient(settings)
        await client.open()
        statuses = []
        for _ in range(2):
            before = misbehaving.closed
            response = await client.send("wild-service", method, b"/once-per-connection", [], None)
            statuses.append(response.status)
            await response.read()
            # Keeps the event loop from running, so that it cannot notice the end.
            assert until(_closed(misbehaving, before + 1))
        await client.close()
        return statuses

    assert asyncio.run(twice()) == [200, 200]
    assert misbehaving.requests[f"{method} /once-per-connection"] == 2


def test_a_slow_service_is_503_in_time_and_its_work_is_given_up(impatient_gateway: GatewayProcess, echo: Echo) -> None:
    labels = 'gateway_upstream_failures_total{reason="TimeoutError",service="concert-service"}'
    before = impatient_gateway.metric(labels)
    answer = ask(impatient_gateway.port, "/concert-service/slow")
    assert answer.outcome == (503, 5000)
    assert answer.header("retry-after") == "1"
    assert echo.cancelled.wait(5)
    assert impatient_gateway.metric(labels) == before + 1


def test_who_waits_in_line_too_long_is_told_to_come_back(start_gateway: StartGateway, echo: Echo) -> None:
    with start_gateway(answer_seconds=0.5, connections_per_service=1) as gateway:
        line = [_request(gateway, "/concert-service/slow") for _ in range(5)]
        assert echo.entered.wait(5)
        assert ask(gateway.port, "/wild-service/fine").status == 200, "another service has connections of its own"
        for connection in line:
            answer = connection.recv(10_000)
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"retry-after: 1" in answer
            connection.close()


def test_the_next_in_line_gets_the_connection(start_gateway: StartGateway, echo: Echo) -> None:
    with start_gateway(connections_per_service=1) as gateway:
        first = _request(gateway, "/concert-service/slow")
        assert echo.entered.wait(5)
        second = _request(gateway, "/concert-service/concerts")
        echo.finish.set()
        for connection in (first, second):
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
            connection.close()


@pytest.mark.parametrize("status", [400, 404, 409, 500, 503])
def test_a_service_s_own_errors_pass_as_they_are(gateway: GatewayProcess, status: int) -> None:
    answer = ask(gateway.port, f"/concert-service/status/{status}")
    assert answer.status == status
    assert answer.body == b'{"code":5000,"message":"its own","data":{}}'
    assert answer.header("retry-after") == ("7" if status == 503 else None)


def test_fifty_megabytes_stream_through_little_memory(gateway: GatewayProcess) -> None:
    ask(gateway.port, f"/concert-service/streamed/{MIB}")
    before = gateway.resident_bytes
    for kind in ("streamed", "sized"):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
            connection.sendall(_get(f"/concert-service/{kind}/{50 * MIB}"))
            received, largest = 0, 0
            while part := connection.recv(1_048_576):
                received += len(part)
                largest = max(largest, gateway.resident_bytes) if received % 50 == 0 else largest
        assert received >= 50 * MIB
        assert gateway.resident_bytes - before < 6 * MIB
        assert largest - before < 6 * MIB


def test_a_slow_reader_holds_the_service_back_not_the_gateway_s_memory(gateway: GatewayProcess) -> None:
    ask(gateway.port, f"/concert-service/streamed/{MIB}")
    before = gateway.resident_bytes
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as connection:
        connection.sendall(_get(f"/concert-service/streamed/{50 * MIB}"))
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
        grown = until(lambda: gateway.resident_bytes - before > 6 * MIB, 1.0)
    assert not grown


@pytest.mark.parametrize("target", ["/wild-service/breaks-off-length", "/wild-service/breaks-off-chunked"])
def test_an_answer_that_breaks_off_does_not_look_whole(gateway: GatewayProcess, target: str) -> None:
    raw = ask_raw(gateway.port, _get(target, close=False))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert b"connection: close" not in head, "the client was promised more"
    if b"content-length: 500000" in head:
        assert 0 < len(body) < 500_000
    else:
        assert body == b"5\r\nhello\r\n"
    assert "Traceback" not in gateway.log


def test_an_answer_that_stalls_is_cut_in_time(impatient_gateway: GatewayProcess) -> None:
    labels = 'gateway_upstream_failures_total{reason="broken answer",service="wild-service"}'
    raw = ask_raw(impatient_gateway.port, _get("/wild-service/stalls", close=False))
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert 0 < len(body) < 500_000
    assert impatient_gateway.metric(labels) == 1
    assert "Traceback" not in impatient_gateway.log


def test_an_answer_that_ends_with_its_connection_is_whole(gateway: GatewayProcess) -> None:
    assert ask(gateway.port, "/wild-service/until-close").body == b"x" * 100_000


def test_the_work_for_a_client_that_left_is_given_up(gateway: GatewayProcess, echo: Echo) -> None:
    connection = _request(gateway, "/concert-service/slow")
    assert echo.entered.wait(5)
    connection.close()
    assert echo.cancelled.wait(5)
    labels = 'http_request_seconds_count{method="GET",route="/concert-service",status="499"}'
    assert until(lambda: gateway.metric(labels) >= 1)
    assert "Traceback" not in gateway.log


def test_the_work_for_an_uploader_that_left_is_given_up(gateway: GatewayProcess, echo: Echo) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        head = f"GET /concert-service/slow HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: 100000\r\n\r\n".encode() + bytes(100_000))
        assert echo.entered.wait(5)
    assert echo.cancelled.wait(5)


def _get(target: str, *, close: bool = True) -> bytes:
    end = "Connection: close\r\n\r\n" if close else "\r\n"
    return f"GET {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n{end}".encode()


def _request(gateway: GatewayProcess, target: str) -> socket.socket:
    """A connection on which this request was sent and no answer was read."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=10)
    connection.sendall(_get(target))
    return connection


def _closed(misbehaving: Misbehaving, count: int) -> Callable[[], bool]:
    return lambda: misbehaving.closed >= count
