"""What the gateway does to every request: whose token it is, where it goes, and which of its headers go with it."""

from __future__ import annotations

from itertools import count

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from common.errors import LoginRequired
from common.identity import Role, User
from common.tokens import issue_token, verify_token
from gateway.authentication import TokenVerifier
from gateway.headers import from_client, from_service
from gateway.routes import Access, Route, Routes

SECRET = "s" * 43
USER = User(4711, "somebody@example.com", Role.USER)
TOKEN = issue_token(USER, SECRET)
AUTHORIZATION = b"Bearer " + TOKEN.encode()

# As a browser sends them, with a few that must not pass.
REQUEST_HEADERS = [
    (b"host", b"127.0.0.1:12011"),
    (b"user-agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    (b"accept", b"application/json"),
    (b"accept-language", b"ko-KR,ko;q=0.8,en-US;q=0.5,en;q=0.3"),
    (b"accept-encoding", b"gzip, deflate, br, zstd"),
    (b"content-type", b"application/json"),
    (b"content-length", b"71"),
    (b"authorization", AUTHORIZATION),
    (b"connection", b"keep-alive"),
    (b"x-user-id", b"1"),
    (b"idempotency-key", b"5b0d3f0e-0d5f-4b43-9d59-0b8a5a6d2c11"),
]
ANSWER_HEADERS = [
    (b"Date", b"Mon, 03 Mar 2031 10:00:00 GMT"),
    (b"Content-Type", b"application/json"),
    (b"Content-Length", b"512"),
    (b"X-Request-Id", b"0123456789abcdef0123456789abcdef"),
    (b"Connection", b"keep-alive"),
]


def test_a_token_that_is_seen_for_the_first_time(benchmark: BenchmarkFixture) -> None:
    assert benchmark(verify_token, TOKEN, SECRET)[0] == USER


def test_a_token_that_is_remembered(benchmark: BenchmarkFixture) -> None:
    verifier = TokenVerifier(SECRET, size=10)
    assert verifier.user_of(REQUEST_HEADERS) == USER
    assert benchmark(verifier.user_of, REQUEST_HEADERS) == USER
    assert verifier.misses == 1
    assert verifier.hits >= 1


def test_a_token_that_is_pushed_out_by_others(benchmark: BenchmarkFixture) -> None:
    """The worst case of honest traffic: more people than are remembered, one after the other."""
    verifier = TokenVerifier(SECRET, size=4)
    people = [User(number, "somebody@example.com", Role.USER) for number in range(8)]
    headers = [b"Bearer " + issue_token(user, SECRET).encode() for user in people]
    turns = count()

    def next_person() -> tuple[User, User]:
        number = next(turns) % len(people)
        return verifier.verify(headers[number]), people[number]

    found, expected = benchmark(next_person)
    assert found == expected
    assert verifier.hits == 0


def test_a_token_that_is_forged(benchmark: BenchmarkFixture) -> None:
    verifier = TokenVerifier("t" * 43, size=10)

    def refused() -> bool:
        try:
            verifier.verify(AUTHORIZATION)
        except LoginRequired:
            return True
        return False

    assert benchmark(refused)
    assert len(verifier) == 0


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/order-service/bookings", Route(Access.USER, "order-service", b"/bookings")),
        ("GET", "/concert-service/schedules/17", Route(Access.USER, "concert-service", b"/schedules/17")),
        ("POST", "/user-service/auth/login", Route(Access.PUBLIC, "user-service", b"/auth/login")),
        ("GET", "/user-service/users/7", Route(Access.SERVICE, "user-service", b"/users/7")),
        ("GET", "/other/x", Route(Access.UNKNOWN, "unknown", b"/other/x")),
    ],
    ids=["booking", "seat lookup", "public", "between services", "unknown"],
)
def test_where_a_request_goes(benchmark: BenchmarkFixture, method: str, path: str, expected: Route) -> None:
    routes = Routes(["user-service", "concert-service", "order-service"])
    assert benchmark(routes.find, method, path, path.encode()) == expected


def test_which_headers_reach_a_service(benchmark: BenchmarkFixture) -> None:
    passed = benchmark(from_client, REQUEST_HEADERS)
    assert [name for name, _ in passed] == [
        b"user-agent", b"accept", b"accept-language", b"accept-encoding", b"content-type", b"idempotency-key",
    ]  # fmt: skip


def test_which_headers_reach_the_client(benchmark: BenchmarkFixture) -> None:
    expected = [(b"content-type", b"application/json"), (b"content-length", b"512")]
    assert benchmark(from_service, ANSWER_HEADERS) == expected
