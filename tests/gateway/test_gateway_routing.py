"""Where a path leads, and that no spelling of it leads anywhere else."""

from __future__ import annotations

import pytest

from tests.gateway.asking import ask, ask_raw
from tests.gateway.gateway_process import GatewayProcess


@pytest.mark.parametrize(
    ("target", "seen"),
    [
        ("/concert-service/concerts", "/concerts"),
        ("/concert-service/concerts?page=1&sort=id,desc&sort=a", "/concerts?page=1&sort=id,desc&sort=a"),
        ("/concert-service/search?name=%EB%B4%84%20%2B+a%2fb", "/search?name=%EB%B4%84%20%2B+a%2fb"),
        ("/concert-service/a%20b/%EB%B4%84/c;d=e,f:@&=+$!*'()~", "/a%20b/%EB%B4%84/c;d=e,f:@&=+$!*'()~"),
        ("/concert-service/concerts?next=/a/../b//c&x=[1]|{}", "/concerts?next=/a/../b//c&x=[1]|{}"),
        ("/concert-service/a.b/...c/%2e%2ed/", "/a.b/...c/%2e%2ed/"),
        ("/concert-service/", "/"),
        ("/concert-service", "/"),
        ("/user%2Dservice/users", "/users"),
    ],
)  # fmt: skip
def test_the_path_behind_the_service_s_name_arrives_byte_for_byte(
    gateway: GatewayProcess, target: str, seen: str
) -> None:
    answer = ask(gateway.port, target)
    assert (answer.status, answer.json["target"]) == (200, seen)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_the_method_is_handed_on(gateway: GatewayProcess, method: str) -> None:
    assert ask(gateway.port, "/order-service/bookings", method=method).json["method"] == method


def test_an_unknown_service_is_not_found_with_a_token_and_401_without(gateway: GatewayProcess) -> None:
    for target in ("/ghost-service/users", "/", "/users", "/concert-servicex/concerts"):
        assert ask(gateway.port, target).outcome == (404, 1002)
        assert ask(gateway.port, target, token=False).outcome == (401, 2001)


def test_the_gateway_answers_for_its_own_health_and_metrics(gateway: GatewayProcess) -> None:
    assert ask(gateway.port, "/health/live", token=False).outcome == (200, 0)
    assert ask(gateway.port, "/health/ready", token=False).outcome == (200, 0)
    ask(gateway.port, "/concert-service/concerts")
    labels = 'http_request_seconds_count{method="GET",route="/concert-service",status="200"}'
    assert gateway.metric(labels) >= 1


@pytest.mark.parametrize(
    "target",
    [
        "/user-service/auth/../users/all",
        "/user-service/auth/%2e%2e/users/all",
        "/user-service/auth/.%2E/users/all",
        "/order-service/widget/%2e%2e/bookings",
        "/order-service/widget/%2E./bookings",
        "/order-service/widget/..;/bookings",
        "/order-service/widget/..%3b/bookings",
        "/order-service/widget/..",
        "/user-service/auth/./login",
        "/user-service/auth//../users",
        "/user-service//users",
        "//user-service/users",
        "/user-service/auth/%2fusers",
        "/user-service/auth%2Flogin",
        "/user-service%2fauth/login",
        "/user-service/auth\\..\\users",
        "/user-service/auth/%5c..%5cusers",
        "/user-service/auth/%00",
        "/user-service/auth/%0d%0aX-User-Id:1",
        "/user-service/auth/%7f",
        "/user-service/auth/%zz",
        "/user-service/auth/%",
        "/../user-service/auth/login",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(gateway: GatewayProcess, target: str) -> None:
    assert ask(gateway.port, target).outcome == (400, 1001)
    assert ask(gateway.port, target, token=False).outcome == (401, 2001)


@pytest.mark.parametrize("service", ["user-service", "concert-service", "order-service"])
@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/metrics/",
        "/%6detrics",
        "/openapi.json",
        "/health",
        "/health/live",
        "/health/ready/",
        "/health/x/y",
    ],
)
def test_the_operations_of_a_service_are_not_asked_for_here(gateway: GatewayProcess, service: str, path: str) -> None:
    assert ask(gateway.port, f"/{service}{path}").outcome == (404, 1002)
    assert ask(gateway.port, f"/{service}{path}", token=False).outcome == (401, 2001)


@pytest.mark.parametrize(
    "path", ["/metricsx", "/concerts/metrics", "/healthy", "/concerts/health/live", "/openapi.jsonx"]
)
def test_what_only_looks_like_them_passes(gateway: GatewayProcess, path: str) -> None:
    assert ask(gateway.port, f"/concert-service{path}").status == 200


@pytest.mark.parametrize(
    "target", ["/user-service/authx/login", "/user-service/AUTH/login", "/order-service/widgets/checkout.html",
               "/user-service/widget/checkout.html", "/order-service/auth/login", "/user-service/auth",
               "/user-service/%2561uth/login", "/concert-service/auth/login"],
)  # fmt: skip
def test_what_only_looks_like_a_public_path_needs_a_token(gateway: GatewayProcess, target: str) -> None:
    assert ask(gateway.port, target, token=False).outcome == (401, 2001)


@pytest.mark.parametrize(
    "target", ["/user-service/auth/login", "/user-service/%61uth/sign-up", "/order-service/widget/confirm.html?a=1"]
)  # fmt: skip
def test_public_paths_need_no_token(gateway: GatewayProcess, target: str) -> None:
    assert ask(gateway.port, target, token=False).status == 200


SERVICE_CALLS = [
    ("GET", "/user-service/users/7"),
    ("GET", "/user-service/users/%37"),
    ("GET", "/user-service/users/7/"),
    ("GET", "/user-service/users/fan/nickname"),
    ("GET", "/user-service/users/all/nickname"),
    ("GET", "/concert-service/concerts/7/detail"),
    ("GET", "/concert-service/concerts/7/%64etail"),
    ("GET", "/concert-service/concerts/7/seller"),
    ("GET", "/concert-service/concerts/7/spring/search"),
    ("GET", "/concert-service/concerts/spring/search"),
    ("POST", "/concert-service/concerts/list"),
    ("GET", "/concert-service/schedules/7/detail"),
    ("POST", "/order-service/bookings/active"),
]


@pytest.mark.parametrize(("method", "target"), SERVICE_CALLS)
def test_calls_between_services_are_refused(gateway: GatewayProcess, method: str, target: str) -> None:
    assert ask(gateway.port, target, method=method).outcome == (403, 1000)
    assert ask(gateway.port, target, method=method, token=False).outcome == (401, 2001)


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/user-service/users"),
        ("PUT", "/user-service/users"),
        ("GET", "/user-service/users/all"),
        ("GET", "/concert-service/concerts/7"),
        ("GET", "/concert-service/concerts/search?concert-name=a"),
        ("GET", "/concert-service/schedules/7"),
        ("POST", "/concert-service/concerts"),
        ("GET", "/order-service/bookings/seats/7"),
        ("GET", "/order-service/bookings/seller/7"),
        ("PATCH", "/order-service/bookings/cancel/7"),
        ("GET", "/order-service/payments/me/7"),
    ],
)
def test_calls_of_people_pass(gateway: GatewayProcess, method: str, target: str) -> None:
    assert ask(gateway.port, target, method=method).status == 200


@pytest.mark.parametrize(
    "head",
    [
        b"GET /user-service/users HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"POST /user-service/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n",
        b"POST /user-service/auth/login HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n",
        b"POST /user-service/auth/login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n",
        b"GET /user-service/auth/\xeb\xb4\x84 HTTP/1.1\r\nHost: a\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: a\r\n",
    ],
)
def test_a_request_that_is_not_clearly_one_is_refused(gateway: GatewayProcess, head: bytes) -> None:
    answer = ask_raw(gateway.port, head + b"Connection: close\r\n\r\n")
    assert answer.split(b" ", 2)[1] in (b"400", b"401", b"404"), answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_target_in_absolute_form_chooses_no_other_host(gateway: GatewayProcess) -> None:
    answer = ask(gateway.port, "http://evil.example/concert-service/concerts")
    assert answer.json["target"] == "/concerts"
