"""Without a valid token the gateway answers 401 for all but what the contract calls public."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from common.identity import Role, User
from common.tokens import LIFETIME_SECONDS, issue_token
from harness.launch import RunningStage
from tests.contract.calls import BETWEEN_SERVICES, FOR_PEOPLE
from tests.contract.client import Api, outcome, refused
from tests.contract.credentials import BAD, good
from tests.contract.making import CONCERTS, LOGIN, SIGN_UP, USERS, Maker, sign_up_body

pytestmark = pytest.mark.unchanged_code("gateway/authentication.py")

SOMETHING = {"concert": 1, "schedule": 1, "venue": 1, "user": 1, "nickname": "fan"}
UNKNOWN = [
    ("GET", "/"),
    ("GET", "/nowhere"),
    ("GET", "/user-service"),
    ("GET", "/user-service/authentic"),
    ("POST", "/x"),
]


@pytest.mark.parametrize("kind", BAD)
def test_no_call_is_answered_without_a_valid_token(kind: str, http: httpx.Client, platform: RunningStage) -> None:
    value = BAD[kind](platform.secrets.jwt)
    raw = value.encode() if isinstance(value, str) else value
    headers = [] if raw is None else [(b"Authorization", raw)]

    calls = [(call.method, call.path.format(**SOMETHING)) for call in (*FOR_PEOPLE, *BETWEEN_SERVICES)]
    answers = {
        f"{method} {path}": outcome(http.request(method, path, headers=headers)) for method, path in (*calls, *UNKNOWN)
    }

    assert answers == dict.fromkeys(answers, (401, 2001))


def test_the_same_token_undamaged_is_accepted(http: httpx.Client, platform: RunningStage) -> None:
    answer = http.get(CONCERTS, headers={"Authorization": f"Bearer {good(platform.secrets.jwt)}"})
    assert outcome(answer) == (200, 0)


def test_the_scheme_is_not_case_sensitive(http: httpx.Client, platform: RunningStage) -> None:
    """RFC 9110, 11.1."""
    for scheme in ("bearer", "BEARER"):
        answer = http.get(CONCERTS, headers={"Authorization": f"{scheme} {good(platform.secrets.jwt)}"})
        assert outcome(answer) == (200, 0)


def test_a_token_anywhere_else_is_no_token(http: httpx.Client, platform: RunningStage) -> None:
    token = good(platform.secrets.jwt)
    refused(http.get(CONCERTS, params={"access_token": token, "token": token}), 401, 2001)
    refused(http.get(CONCERTS, headers={"Cookie": f"Authorization=Bearer {token}; token={token}"}), 401, 2001)
    refused(http.get(CONCERTS, headers={"X-Authorization": f"Bearer {token}"}), 401, 2001)


def test_a_token_that_was_good_is_refused_once_it_has_expired(http: httpx.Client, platform: RunningStage) -> None:
    issued = time.time() - LIFETIME_SECONDS + 2
    token = issue_token(User(1, "a@example.com", Role.USER), platform.secrets.jwt, now=issued)
    headers = {"Authorization": f"Bearer {token}"}
    assert outcome(http.get(CONCERTS, headers=headers)) == (200, 0)

    deadline = time.monotonic() + 5
    while (answer := http.get(CONCERTS, headers=headers)).status_code == 200 and time.monotonic() < deadline:
        time.sleep(0.05)

    refused(answer, 401, 2001)


def test_the_public_calls_need_no_token(nobody: Api) -> None:
    body = sign_up_body()
    assert nobody.post(SIGN_UP, body) == {}
    assert nobody.post(LOGIN, {"email": body["email"], "password": body["password"]}) == {}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_token_does_not_keep_anybody_from_logging_in(
    kind: str, http: httpx.Client, platform: RunningStage
) -> None:
    """A client that sends the token it has, expired, must be able to get a new one."""
    value = BAD[kind](platform.secrets.jwt)
    raw = value.encode() if isinstance(value, str) else value
    headers = [] if raw is None else [(b"Authorization", raw)]
    assert outcome(http.post(LOGIN, json={}, headers=headers)) == (400, 2003)


def test_tokens_of_several_people_are_never_mixed_up(make: Maker) -> None:
    people = [make.account() for _ in range(3)]

    def profiles(index: int) -> bool:
        person = people[index % len(people)]
        return bool(person.api.get(USERS)["nickname"] == person.nickname)

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(profiles, range(60)))
