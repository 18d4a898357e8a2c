"""What the gateway takes away from a request and its answer, and what it adds."""

from __future__ import annotations

import re
from typing import Any

import pytest

from common.identity import IDENTITY_HEADERS, IdentitySigner
from tests.gateway.asking import BUYER, IDENTITY_KEY, TOKEN, Answer, ask, ask_raw
from tests.gateway.gateway_process import GatewayProcess

TARGET = "/concert-service/concerts?page=0"


def _seen(answer: Answer) -> dict[str, list[str]]:
    """The header fields that the service saw, by name."""
    assert answer.status == 200, answer
    fields: dict[str, list[str]] = {}
    for name, value in answer.json["headers"]:
        fields.setdefault(name, []).append(value)
    return fields


def _caller(seen: dict[str, Any]) -> object:
    headers = {name.encode(): value.encode() for name, value in seen["headers"]}
    return IdentitySigner(IDENTITY_KEY).verify(headers, seen["method"], seen["target"].encode())


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_the_gateway_vouches_for_the_token_s_user_on_the_request_as_the_service_sees_it(
    gateway: GatewayProcess, method: str
) -> None:
    seen = ask(gateway.port, "/order-service/a%20b?x=%2F&y", method=method).json
    assert _caller(seen) == BUYER
    assert TOKEN not in str(seen)


FORGED = [
    *(name.decode() for name in IDENTITY_HEADERS),
    "X-Resend-Request", "X-Ticket-Number", "X-USER-ID", "x_user_id", "X_Role", "x-user_id", "x_identity_signature",
]  # fmt: skip


@pytest.mark.parametrize("public", [True, False])
def test_identity_headers_of_a_client_reach_no_service(gateway: GatewayProcess, public: bool) -> None:
    target = "/user-service/auth/login" if public else TARGET
    forged = [(name, "1") for name in FORGED]
    answer = ask(gateway.port, target, *forged, ("X-User-Id", "2"))
    fields = _seen(answer)
    assert _caller(answer.json) == (None if public else BUYER)
    assert all(len(fields.get(name.decode(), [])) == (not public) for name in IDENTITY_HEADERS if name != b"x-service")
    assert not {"x-service", "x-resend-request", "x-ticket-number"} & set(fields)
    assert not [name for name in fields if "_" in name]


def test_a_client_cannot_have_the_gateway_s_own_headers_dropped(gateway: GatewayProcess) -> None:
    named = "close, x-user-id, x-identity-signature, x-request-id, authorization, content-length"
    answer = ask(gateway.port, TARGET, ("Connection", named), method="POST", body=b"{}")
    assert _caller(answer.json) == BUYER
    assert answer.json["length"] == 2


def test_connection_headers_end_at_the_gateway(gateway: GatewayProcess) -> None:
    fields = _seen(
        ask(
            gateway.port, TARGET,
            ("Connection", "keep-alive, X-One"), ("Connection", "x-TWO"), ("X-One", "1"), ("X-Two", "2"),
            ("Keep-Alive", "timeout=9"), ("TE", "trailers"), ("Trailer", "X-T"), ("Upgrade", "h2c"),
            ("Proxy-Authorization", "Basic x"), ("Proxy-Connection", "keep-alive"), ("X-Three", "3"),
        )
    )  # fmt: skip
    gone = {"x-one", "x-two", "keep-alive", "te", "trailer", "upgrade", "proxy-authorization", "proxy-connection"}
    assert not gone & set(fields)
    assert fields["x-three"] == ["3"]


def test_connection_headers_of_a_service_end_at_the_gateway(gateway: GatewayProcess) -> None:
    answer = ask(gateway.port, "/concert-service/connection-headers", ("X-Request-Id", "mine"))
    names = {name for name, _ in answer.headers}
    assert not {"x-private", "keep-alive", "proxy-authenticate", "connection"} & names
    assert (answer.header("x-public"), answer.header("set-cookie")) == ("for all", "a=1")
    assert answer.header("x-request-id") == "mine"
    assert answer.header("date") is not None
    assert "server" not in names


def test_a_service_sees_what_the_client_sent_and_nothing_that_the_http_client_made_up(gateway: GatewayProcess) -> None:
    bare = _seen(ask(gateway.port, TARGET))
    assert not {"accept", "accept-encoding", "user-agent", "content-type", "content-length", "cookie"} & set(bare)
    full = _seen(
        ask(
            gateway.port, TARGET,
            ("Accept-Encoding", "gzip"), ("User-Agent", "test"), ("Cookie", "a=1"), ("Cookie", "b=2"),
            ("X-Name", "봄".encode().decode("latin-1")),
        )
    )  # fmt: skip
    assert (full["accept-encoding"], full["user-agent"], full["cookie"]) == (["gzip"], ["test"], ["a=1", "b=2"])
    assert full["x-name"] == ["봄".encode().decode("latin-1")]


def test_a_header_that_is_not_utf8_is_refused(gateway: GatewayProcess) -> None:
    assert ask(gateway.port, TARGET, ("X-Name", "\xff\xfe")).outcome == (400, 1001)


def test_forwarding_headers_are_the_gateway_s_own(gateway: GatewayProcess) -> None:
    fields = _seen(
        ask(
            gateway.port, TARGET,
            ("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example"),
            ("X-Forwarded-Port", "1"), ("Forwarded", "for=6.6.6.6"), ("X-Real-IP", "6.6.6.6"),
        )
    )  # fmt: skip
    assert fields["x-forwarded-for"] == ["127.0.0.1"]
    assert fields["x-forwarded-proto"] == ["http"]
    assert fields["x-forwarded-host"] == [f"127.0.0.1:{gateway.port}"]
    assert not {"forwarded", "x-real-ip", "x-forwarded-port"} & set(fields)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", fields["host"][0])
    assert fields["host"] != fields["x-forwarded-host"]


@pytest.mark.parametrize("harmless", ["a-1.B_2", "x" * 64])
def test_a_harmless_request_id_is_kept(gateway: GatewayProcess, harmless: str) -> None:
    answer = ask(gateway.port, TARGET, ("X-Request-Id", harmless))
    assert answer.header("x-request-id") == harmless
    assert _seen(answer)["x-request-id"] == [harmless]


@pytest.mark.parametrize("offered", [None, "", "a b", "x" * 65, "<script>", "%0d%0a"])
def test_another_request_id_is_replaced(gateway: GatewayProcess, offered: str | None) -> None:
    answer = ask(gateway.port, TARGET, *([] if offered is None else [("X-Request-Id", offered)]))
    made = answer.header("x-request-id")
    assert made is not None
    assert made != offered
    assert re.fullmatch(r"[0-9a-f]{16}", made)
    assert _seen(answer)["x-request-id"] == [made]


@pytest.mark.parametrize(
    ("language", "message"),
    [(None, "로그인이 필요합니다."), ("en", "Login required."), ("ko-KR,ko;q=0.9,en;q=0.8", "로그인이 필요합니다.")],
)
def test_errors_speak_the_client_s_language(gateway: GatewayProcess, language: str | None, message: str) -> None:
    headers = [] if language is None else [("Accept-Language", language)]
    answer = ask(gateway.port, TARGET, *headers, token=False)
    assert answer.json == {"code": 2001, "message": message, "data": {}}
    assert answer.header("content-type") == "application/json"
    assert answer.header("x-request-id")


def test_head_has_the_length_and_no_body(gateway: GatewayProcess) -> None:
    for size in (1_000, 500_000):
        raw = ask_raw(gateway.port, _head(f"/concert-service/sized/{size}"))
        head, _, body = raw.partition(b"\r\n\r\n")
        assert b"\r\ncontent-length: %d" % size in head
        assert body == b""


@pytest.mark.parametrize("language", ["ko", "en"])
def test_an_answer_of_the_gateway_s_own_says_how_long_it_is(gateway: GatewayProcess, language: str) -> None:
    answer = ask(gateway.port, TARGET, ("Accept-Language", language), token=False)
    assert answer.header("content-length") == str(len(answer.body))
    assert answer.header("transfer-encoding") is None


def test_head_of_an_error_has_no_body(gateway: GatewayProcess) -> None:
    raw = ask_raw(gateway.port, _head("/user-service//x"))
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert raw.endswith(b"\r\n\r\n")


def _head(target: str) -> bytes:
    return f"HEAD {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n".encode()


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_stays_one(gateway: GatewayProcess, status: int) -> None:
    answer = ask(gateway.port, f"/concert-service/status/{status}")
    assert (answer.status, answer.body) == (status, b"")
    assert answer.header("transfer-encoding") is None
    assert answer.header("content-length") is None


def test_the_connection_to_the_client_is_used_again(gateway: GatewayProcess) -> None:
    request = f"GET {TARGET} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n"
    last = request + "Connection: close\r\n\r\n"
    answers = ask_raw(gateway.port, (request + "\r\n").encode() * 2 + last.encode())
    assert answers.count(b"HTTP/1.1 200 OK\r\n") == 3
