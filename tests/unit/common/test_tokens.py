"""The bearer token: what is in it, and everything that is refused."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import LoginRequired
from common.identity import Role, User
from common.tokens import LIFETIME_SECONDS, issue_token, verify_token

SECRET = "a secret of at least thirty-two characters"
USER = User(7, "fan@example.com", Role.SELLER)

users = st.builds(
    User,
    user_id=st.integers(min_value=1, max_value=2**63 - 1),
    email=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=254),
    role=st.sampled_from(Role),
)


def good_claims() -> dict[str, Any]:
    now = int(time.time())
    return {
        "userId": 7,
        "email": "fan@example.com",
        "role": "ROLE_USER",
        "iss": "user-service",
        "iat": now,
        "exp": now + 3600,
    }


def signed(claims: object, *, header: dict[str, Any] | None = None, algorithm: str = "HS256") -> str:
    return jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, algorithm=algorithm, headers=header)


def segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@given(users)
def test_a_token_names_the_user_it_was_made_for(user: User) -> None:
    assert verify_token(issue_token(user, SECRET), SECRET)[0] == user


def test_the_claims_are_those_of_the_contract() -> None:
    issued = int(time.time())

    token = issue_token(USER, SECRET, now=issued + 0.9)

    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    assert jwt.decode(token, options={"verify_signature": False}) == {
        "userId": 7,
        "email": "fan@example.com",
        "role": "ROLE_SELLER",
        "iss": "user-service",
        "iat": issued,
        "exp": issued + 60 * 60,
    }
    assert verify_token(token, SECRET) == (USER, float(issued + 3600))


def test_a_token_ends_with_its_last_second() -> None:
    now = time.time()
    assert verify_token(issue_token(USER, SECRET, now=now - LIFETIME_SECONDS + 30), SECRET)[0] == USER
    with pytest.raises(LoginRequired):
        verify_token(issue_token(USER, SECRET, now=now - LIFETIME_SECONDS), SECRET)


def test_the_helper_that_spoils_tokens_can_also_make_good_ones() -> None:
    assert verify_token(signed(good_claims()), SECRET)[0] == User(7, "fan@example.com", Role.USER)


@pytest.mark.parametrize("claim", ["userId", "email", "role", "iss", "iat", "exp"])
def test_a_missing_claim_is_refused(claim: str) -> None:
    claims = good_claims()
    del claims[claim]
    with pytest.raises(LoginRequired):
        verify_token(signed(claims), SECRET)


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("userId", "7"), ("userId", 7.0), ("userId", True), ("userId", None), ("userId", [7]),
        ("email", None), ("email", 7), ("email", {}),
        ("role", "ROLE_ROOT"), ("role", "role_manager"), ("role", None), ("role", ["ROLE_MANAGER"]), ("role", {}),
        ("iss", "order-service"), ("iss", ""), ("iss", None), ("iss", 7),
        ("exp", "soon"), ("exp", None), ("exp", 0), ("exp", -1),
        ("iat", "once"), ("iat", None),
    ],
)  # fmt: skip
def test_a_claim_of_a_wrong_value_or_type_is_refused(claim: str, value: object) -> None:
    with pytest.raises(LoginRequired):
        verify_token(signed({**good_claims(), claim: value}), SECRET)


@pytest.mark.parametrize("claims", [[], "claims", 7, None, {}])
def test_claims_that_are_no_object_are_refused(claims: object) -> None:
    with pytest.raises(LoginRequired):
        verify_token(signed(claims), SECRET)


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE", ""])
def test_an_unsigned_token_is_refused(algorithm: str) -> None:
    header = segment(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    payload = segment(json.dumps(good_claims()).encode())
    for signature in ("", issue_token(USER, SECRET).rsplit(".", 1)[1]):
        with pytest.raises(LoginRequired):
            verify_token(f"{header}.{payload}.{signature}", SECRET)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_even_with_the_right_secret(algorithm: str) -> None:
    with pytest.raises(LoginRequired):
        verify_token(jwt.encode(good_claims(), SECRET * 2, algorithm=algorithm), SECRET * 2)


def test_a_token_made_with_another_secret_is_refused() -> None:
    with pytest.raises(LoginRequired):
        verify_token(issue_token(USER, SECRET[::-1]), SECRET)


def test_a_token_cut_anywhere_is_refused() -> None:
    token = issue_token(USER, SECRET)
    for length in range(len(token)):
        with pytest.raises(LoginRequired):
            verify_token(token[:length], SECRET)


@given(position=st.integers(min_value=0), replacement=st.characters(max_codepoint=255))
def test_a_token_with_any_character_changed_is_refused_or_means_the_same(position: int, replacement: str) -> None:
    token = issue_token(USER, SECRET)
    position %= len(token)
    changed = token[:position] + replacement + token[position + 1 :]
    try:
        user, _ = verify_token(changed, SECRET)
    except LoginRequired:
        return
    # The last character of a base64 segment holds spare bits, which a decoder ignores (RFC 4648, 3.5).
    assert user == USER


@pytest.mark.parametrize(
    "header",
    [
        b"", b"{", b"[]", b"7", b'"HS256"', b"\xff\xfe", b"[" * 2500, b'{"a":' * 600, b"NaN", b"9" * 3000,
        b'{"alg":["HS256"]}', b'{"alg":{"HS256":1}}', b'{"alg":null}', b'{"alg":"\\ud800"}',
        b'{"alg":"HS256","kid":7}', b'{"alg":"HS256","b64":false,"crit":["b64"]}', b'{"alg":"HS256","crit":["x"]}',
    ],
)  # fmt: skip
def test_a_header_that_is_no_jose_header_is_refused(header: bytes) -> None:
    """Whatever it holds: it is read before any signature is checked, so anybody can send it."""
    payload = segment(json.dumps(good_claims()).encode())
    with pytest.raises(LoginRequired):
        verify_token(f"{segment(header)}.{payload}.{segment(b'0' * 32)}", SECRET)


@given(st.text(alphabet=st.characters(max_codepoint=255), max_size=200))
def test_no_text_that_a_header_can_hold_is_taken_for_a_token(text: str) -> None:
    with pytest.raises(LoginRequired):
        verify_token(text, SECRET)


def test_a_refusal_does_not_repeat_the_token() -> None:
    token = issue_token(USER, SECRET[::-1])
    with pytest.raises(LoginRequired) as refusal:
        verify_token(token, SECRET)
    assert token not in str(refusal.value)
    assert "fan@example.com" not in str(refusal.value)
