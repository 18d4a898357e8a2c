"""Bodies on their way through: whole, streamed, too large, too slow."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections.abc import Iterator

import pytest

from tests.gateway.asking import TOKEN, ask, ask_raw
from tests.gateway.conftest import StartGateway
from tests.gateway.gateway_process import GatewayProcess, until
from tests.gateway.upstreams import Echo

TARGET = "/order-service/payments"
LIMIT = 1_048_576
MIB = 1_048_576


def _pieces(total: int, size: int = 50_000) -> Iterator[bytes]:
    piece = bytes(range(256)) * (size // 256 + 1)
    while total > 0:
        yield piece[: min(size, total)]
        total -= size


@pytest.mark.parametrize("size", [0, 1, 300, 65_536, 65_537, LIMIT])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_arrives_as_it_was_sent(gateway: GatewayProcess, size: int, chunked: bool) -> None:
    body = b"".join(_pieces(size))
    sent = _pieces(size) if chunked else body
    seen = ask(gateway.port, TARGET, ("Content-Type", "application/json"), method="POST", body=sent).json
    assert (seen["length"], seen["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    headers = dict(seen["headers"])
    assert headers["content-type"] == "application/json"
    assert ("content-length" in headers) == (not chunked)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_any_method_may_carry_a_body(gateway: GatewayProcess, method: str) -> None:
    seen = ask(gateway.port, TARGET, method=method, body=b"[1,2]").json
    assert (seen["method"], seen["length"]) == (method, 5)


def test_an_announced_body_over_the_limit_is_refused_before_it_is_sent(gateway: GatewayProcess) -> None:
    head = f"POST {TARGET} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
    answer = ask_raw(gateway.port, f"{head}Expect: 100-continue\r\nContent-Length: {LIMIT + 1}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":1001' in answer


def test_a_body_over_the_limit_is_refused_announced_or_not(gateway: GatewayProcess, echo: Echo) -> None:
    assert ask(gateway.port, TARGET, method="POST", body=bytes(10 * MIB)).outcome == (413, 1001)
    for target in (TARGET, "/user-service/auth/sign-up"):
        assert ask(gateway.port, target, method="POST", body=_pieces(LIMIT + 1)).outcome == (413, 1001)


def test_nothing_is_read_of_a_body_whose_sender_has_no_token(gateway: GatewayProcess) -> None:
    head = f"POST {TARGET} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    answer = ask_raw(gateway.port, f"{head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 401 ")


def test_who_asks_whether_to_continue_is_told_so(gateway: GatewayProcess) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        head = f"POST {TARGET} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
        connection.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"hello")
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'"length": 5' in answer


def test_ten_megabytes_are_streamed_where_they_are_allowed(start_gateway: StartGateway) -> None:
    size = 10 * MIB
    with start_gateway(max_body_bytes=size) as gateway:
        ask(gateway.port, TARGET, method="POST", body=bytes(200_000))
        before = gateway.resident_bytes
        for body in (b"".join(_pieces(size)), _pieces(size)):
            seen = ask(gateway.port, TARGET, method="POST", body=body).json
            assert seen["length"] == size
        assert gateway.resident_bytes - before < 6 * MIB


def test_an_identity_is_signed_once_the_body_is_there(gateway: GatewayProcess) -> None:
    head = f"POST {TARGET} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(f"{head}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100 ")
        reading_since = time.time()
        assert until(lambda: time.time() >= reading_since + 2)
        connection.sendall(b"hello")
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    seen = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert int(dict(seen["headers"])["x-identity-time"]) > reading_since


@pytest.mark.parametrize("announced", ["Content-Length: 10", "Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_body_that_never_comes_ends_in_time(impatient_gateway: GatewayProcess, announced: str) -> None:
    head = f"POST {TARGET} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n{announced}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", impatient_gateway.port), timeout=10) as connection:
        connection.sendall(head.encode())
        assert connection.recv(65_536).startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 503 "))


@pytest.mark.parametrize("announced", ["Content-Length: 10", "Content-Length: 100000", "Transfer-Encoding: chunked"])
def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody(gateway: GatewayProcess, announced: str) -> None:
    head = f"POST {TARGET} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n{announced}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(head.encode() + b"5\r\nhe")
    assert ask(gateway.port, TARGET).status == 200
    assert "Traceback" not in gateway.log
