"""Whose token opens the door, against the running gateway; and the cache of verified tokens by itself."""

from __future__ import annotations

import base64
import hmac
import json
import time
from dataclasses import replace

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import LoginRequired
from common.identity import Role, User
from common.tokens import issue_token
from gateway.authentication import MAX_TOKEN_BYTES, TokenVerifier
from tests.gateway.asking import BUYER, JWT_SECRET, LOGGED_IN, TOKEN, ask
from tests.gateway.gateway_process import GatewayProcess

TARGET = "/concert-service/concerts"


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def _signed(header: dict[str, object], claims: object) -> str:
    """A JWT with any header and claims, properly signed with the platform's secret."""
    text = f"{_part(header)}.{_part(claims)}"
    signature = hmac.digest(JWT_SECRET.encode(), text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


NOW = int(time.time())
CLAIMS: dict[str, object] = {
    "userId": 42, "email": "buyer@example.com", "role": "ROLE_USER",
    "iss": "user-service", "iat": NOW, "exp": NOW + 600,
}  # fmt: skip
HS256: dict[str, object] = {"alg": "HS256", "typ": "JWT"}


def _without(name: str) -> dict[str, object]:
    return {key: value for key, value in CLAIMS.items() if key != name}


HEADER, PAYLOAD, SIGNATURE = TOKEN.split(".")

REFUSED = {
    "no token": "Bearer",
    "empty": "Bearer ",
    "another scheme": f"Basic {TOKEN}",
    "no scheme": TOKEN,
    "garbage": "Bearer x.y.z",
    "not base64": "Bearer é.é.é",
    "truncated": f"Bearer {TOKEN[:-4]}",
    "without signature": f"Bearer {HEADER}.{PAYLOAD}.",
    "signature left out": f"Bearer {HEADER}.{PAYLOAD}",
    "twice in one": f"Bearer {TOKEN}, Bearer {TOKEN}",
    "behind a tab": f"Bearer\t{TOKEN}",
    "behind a space and a tab": f"Bearer \t{TOKEN}",
    "with a character that decoders skip": f"Bearer {TOKEN[:-9]}!{TOKEN[-9:]}",
    "with padding": f"Bearer {TOKEN}=",
    "valid, but too long": f"Bearer {_signed(HS256, {**CLAIMS, 'email': 'a' * 1000})}",
    "huge": f"Bearer {TOKEN}{'A' * 6000}",
    "expired": f"Bearer {issue_token(BUYER, JWT_SECRET, now=time.time() - 7200)}",
    "forged": f"Bearer {issue_token(BUYER, 'another secret of forty characters, at least')}",
    "alg none": f"Bearer {_part({'alg': 'none', 'typ': 'JWT'})}.{PAYLOAD}.",
    "alg None, signed": f"Bearer {_signed({'alg': 'None', 'typ': 'JWT'}, CLAIMS)}",
    "HS512": f"Bearer {jwt.encode(dict(CLAIMS), JWT_SECRET, algorithm='HS512')}",
    "claims of another": f"Bearer {HEADER}.{_part({**CLAIMS, 'userId': 1, 'role': 'ROLE_MANAGER'})}.{SIGNATURE}",
    "foreign issuer": f"Bearer {_signed(HS256, {**CLAIMS, 'iss': 'somebody-else'})}",
    "no issuer": f"Bearer {_signed(HS256, _without('iss'))}",
    "no expiry": f"Bearer {_signed(HS256, _without('exp'))}",
    "expiry is text": f"Bearer {_signed(HS256, {**CLAIMS, 'exp': 'never'})}",
    "user id is text": f"Bearer {_signed(HS256, {**CLAIMS, 'userId': '42'})}",
    "user id is true": f"Bearer {_signed(HS256, {**CLAIMS, 'userId': True})}",
    "no user id": f"Bearer {_signed(HS256, _without('userId'))}",
    "unknown role": f"Bearer {_signed(HS256, {**CLAIMS, 'role': 'ROLE_ROOT'})}",
    "roles as a list": f"Bearer {_signed(HS256, {**CLAIMS, 'role': ['ROLE_USER']})}",
    "claims are a list": f"Bearer {_signed(HS256, [1, 2])}",
    "critical header": f"Bearer {_signed({**HS256, 'crit': ['x'], 'x': 1}, CLAIMS)}",
}


@pytest.mark.parametrize("authorization", REFUSED.values(), ids=REFUSED)
def test_what_is_no_valid_token_is_401(gateway: GatewayProcess, authorization: str) -> None:
    answer = ask(gateway.port, TARGET, ("Authorization", authorization), token=False)
    assert answer.outcome == (401, 2001)
    assert answer.json["data"] == {}


def test_no_header_is_401(gateway: GatewayProcess) -> None:
    assert ask(gateway.port, TARGET, token=False).outcome == (401, 2001)


def test_two_authorization_headers_are_401_even_if_both_are_valid(gateway: GatewayProcess) -> None:
    assert ask(gateway.port, TARGET, LOGGED_IN).outcome == (401, 2001)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_s_case_does_not_matter(gateway: GatewayProcess, scheme: str) -> None:
    assert ask(gateway.port, TARGET, ("Authorization", f"{scheme} {TOKEN}"), token=False).status == 200


def test_a_token_stops_working_the_moment_it_expires_though_it_was_remembered(gateway: GatewayProcess) -> None:
    token = issue_token(BUYER, JWT_SECRET, lifetime_seconds=2)
    expires = jwt.decode(token, options={"verify_signature": False})["exp"]
    authorization = ("Authorization", f"Bearer {token}")
    statuses = []
    while (asked := time.time()) < expires + 0.5:
        statuses.append((asked, ask(gateway.port, TARGET, authorization, token=False).status))
    # A request that was sent just before the end may be checked just behind it.
    assert {status for asked, status in statuses if asked < expires - 0.3} == {200}
    assert {status for asked, status in statuses if asked >= expires} == {401}


def test_a_public_path_forwards_no_identity_whatever_token_comes_along(gateway: GatewayProcess) -> None:
    for authorization in (LOGGED_IN, ("Authorization", "Bearer forged")):
        seen = ask(gateway.port, "/user-service/auth/login", authorization, token=False, method="POST").json
        names = {name for name, _ in seen["headers"]}
        assert not names & {"authorization", "x-user-id", "x-email", "x-role", "x-identity-signature"}


# The cache by itself.

START = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def _bearer(user_id: int, lifetime_seconds: int = 10**9) -> bytes:
    token = issue_token(replace(BUYER, user_id=user_id), JWT_SECRET, lifetime_seconds=lifetime_seconds)
    return b"Bearer " + token.encode()


BEARERS = [_bearer(user_id) for user_id in range(12)]


@given(st.lists(st.integers(0, 11), max_size=60), st.integers(1, 8))
def test_it_remembers_the_most_recently_used_and_never_more_than_its_size(asked: list[int], size: int) -> None:
    tokens = TokenVerifier(JWT_SECRET, size=size)
    recent: list[int] = []
    for user_id in asked:
        hits = tokens.hits
        assert tokens.verify(BEARERS[user_id]) == replace(BUYER, user_id=user_id)
        assert tokens.hits - hits == (user_id in recent[-size:])
        recent = [known for known in recent if known != user_id] + [user_id]
        assert len(tokens) == min(len(recent), size)


@pytest.mark.parametrize("late", [0.0, 0.001, 3600.0])
def test_a_remembered_token_is_forgotten_at_its_expiry(late: float) -> None:
    clock = Clock()
    tokens = TokenVerifier(JWT_SECRET, size=10, now=clock)
    authorization = _bearer(1, lifetime_seconds=600)
    clock.now = expires = float(jwt.decode(authorization[7:], options={"verify_signature": False})["exp"])
    clock.now = expires - 0.001
    tokens.verify(authorization)
    tokens.verify(authorization)
    assert (tokens.hits, tokens.misses) == (1, 1)
    clock.now = expires + late
    tokens.verify(authorization)  # by the real clock it is valid, so it is verified anew
    assert (tokens.hits, tokens.misses) == (1, 2)


def test_refused_tokens_are_not_remembered() -> None:
    tokens = TokenVerifier(JWT_SECRET, size=2)
    tokens.verify(BEARERS[1])
    for value in REFUSED.values():
        with pytest.raises(LoginRequired):
            tokens.verify(value.encode("latin-1"))
    assert len(tokens) == 1
    tokens.verify(BEARERS[1])
    assert tokens.hits == 1


@given(st.sampled_from(["bearer", "Bearer", "BEARER", "bEaReR"]), st.integers(1, 2000))
def test_however_it_is_written_a_token_is_remembered_once(scheme: str, spaces: int) -> None:
    tokens = TokenVerifier(JWT_SECRET, size=10)
    for authorization in (BEARERS[0], f"{scheme}{' ' * spaces}{BEARERS[0][7:].decode()}".encode()):
        assert tokens.verify(authorization) == replace(BUYER, user_id=0)
    assert (len(tokens), tokens.hits, tokens.misses) == (1, 1, 1)


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    tokens = TokenVerifier(JWT_SECRET, size=10)
    for length in range(500, 800):
        token = issue_token(User(1, "a" * length, Role.USER), JWT_SECRET)
        if len(token) <= MAX_TOKEN_BYTES:
            assert tokens.verify(b"Bearer " + token.encode()).email == "a" * length
        else:
            with pytest.raises(LoginRequired):
                tokens.verify(b"Bearer " + token.encode())
    assert len(tokens) == 10


@given(st.binary(max_size=300))
def test_no_bytes_do_anything_but_open_or_401(value: bytes) -> None:
    tokens = TokenVerifier(JWT_SECRET, size=2)
    for authorization in (value, b"Bearer " + value, BEARERS[0][:-30] + value):
        with pytest.raises(LoginRequired):
            tokens.verify(authorization)


def test_users_of_every_role_are_told_apart() -> None:
    tokens = TokenVerifier(JWT_SECRET, size=10)
    for role in Role:
        user = User(9, "nine@example.com", role)
        assert tokens.verify(b"Bearer " + issue_token(user, JWT_SECRET).encode()) == user
