"""Logging in, and the profile behind the token."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jwt
import pytest

from common.identity import Role
from harness.launch import RunningStage
from tests.contract.client import Api, envelope, outcome
from tests.contract.making import LOGIN, PASSWORD, USERS, Account, Maker, sign_up_body

pytestmark = pytest.mark.unchanged_code("user")

NEW_PASSWORD = "N3wPassw&rd"


def log_in(api: Api, email: str, password: str = PASSWORD) -> str:
    """The token of a login that must succeed."""
    answer = api.send("POST", LOGIN, json={"email": email, "password": password})
    assert outcome(answer) == (200, 0)
    assert envelope(answer)["data"] == {}
    scheme, _, token = answer.headers["authorization"].partition(" ")
    assert scheme == "Bearer"
    return token


def profile(**changes: Any) -> dict[str, Any]:
    body = sign_up_body(**changes)
    del body["email"]
    return body


@pytest.mark.parametrize("role", Role)
def test_a_token_has_the_contracts_claims(role: Role, make: Maker, nobody: Api, platform: RunningStage) -> None:
    account = make.account(role)
    before = int(time.time())

    token = log_in(nobody, account.email)

    assert jwt.get_unverified_header(token)["alg"] == "HS256"
    claims = jwt.decode(token, platform.secrets.jwt, algorithms=["HS256"])
    issued = claims["iat"]
    assert type(issued) is int
    assert before <= issued <= time.time()
    assert claims == {
        "userId": account.api.user_id, "email": account.email, "role": role.value, "iss": "user-service",
        "iat": issued, "exp": issued + 3600,
    }  # fmt: skip
    assert type(claims["userId"]) is int


def test_the_token_is_accepted(make: Maker, nobody: Api) -> None:
    account = make.account()
    token = log_in(nobody, account.email)
    own = nobody.get(USERS, headers={"Authorization": f"Bearer {token}"})
    assert own["userId"] == account.api.user_id


def test_an_unknown_email_and_a_wrong_password_are_told_apart_by_nobody(make: Maker, nobody: Api) -> None:
    account = make.account()
    wrong = nobody.send("POST", LOGIN, json={"email": account.email, "password": PASSWORD + "x"})
    unknown = nobody.send("POST", LOGIN, json={"email": "x" + account.email, "password": PASSWORD})
    assert outcome(wrong) == outcome(unknown) == (401, 2004)
    assert wrong.content == unknown.content
    assert wrong.headers.keys() == unknown.headers.keys()
    assert "authorization" not in wrong.headers


@pytest.mark.parametrize(
    "body",
    [
        {}, {"email": "", "password": ""}, {"email": "a@example.com"}, {"password": PASSWORD},
        {"email": "", "password": PASSWORD}, {"email": "a@example.com", "password": ""},
        {"email": None, "password": None},
    ],
)  # fmt: skip
def test_an_empty_email_or_password_is_2003(body: Any, nobody: Api) -> None:
    nobody.refused(400, 2003, "POST", LOGIN, json=body)


@pytest.mark.parametrize(
    "body",
    [
        {"email": 7, "password": PASSWORD}, {"email": "a@example.com", "password": 7}, {"email": [], "password": {}},
        {"email": "a@example.com", "password": ["Passw0rd!"]}, {"email": {"$ne": ""}, "password": {"$ne": ""}},
    ],
)  # fmt: skip
def test_wrong_types_are_invalid_input(body: Any, nobody: Api) -> None:
    nobody.refused(400, 1001, "POST", LOGIN, json=body)


@pytest.mark.parametrize("email", ["' OR 1=1 --", "fan@example.com' --", "%", "\x01", "🎻", "a" * 10_000])
def test_nonsense_opens_nothing(email: str, nobody: Api) -> None:
    answer = nobody.send("POST", LOGIN, json={"email": email, "password": PASSWORD})
    assert outcome(answer) in {(401, 2004), (400, 1001)}


@pytest.mark.parametrize("password", ["🎻", "a" * 100_000, "Passw0rd!\x00", " Passw0rd!", "passw0rd!"])
def test_only_the_password_itself_is_the_password(password: str, make: Maker, nobody: Api) -> None:
    answer = nobody.send("POST", LOGIN, json={"email": make.account().email, "password": password})
    assert outcome(answer) in {(401, 2004), (400, 1001)}


def test_own_profile(make: Maker) -> None:
    account = make.account()
    assert account.api.get(USERS) == {
        "userId": account.api.user_id, "nickname": account.nickname, "email": account.email, "phone": account.phone,
        "profileImage": "https://images.example/fan.png",
    }  # fmt: skip


def test_a_token_without_an_account_has_no_profile(buyer: Api) -> None:
    buyer.refused(404, 2000, "GET", USERS)
    buyer.refused(404, 2000, "PUT", USERS, json=profile())


def test_a_changed_profile_is_read_back_and_its_password_counts(make: Maker, nobody: Api) -> None:
    account = make.account()
    changes = profile(password=NEW_PASSWORD, profileImage="")

    assert account.api.put(USERS, changes) == {}

    assert account.api.get(USERS) == {
        "userId": account.api.user_id, "nickname": changes["nickname"], "email": account.email,
        "phone": changes["phone"], "profileImage": "",
    }  # fmt: skip
    nobody.refused(401, 2004, "POST", LOGIN, json={"email": account.email, "password": PASSWORD})
    log_in(nobody, account.email, NEW_PASSWORD)
    (row,) = make.rows("user", "SELECT * FROM users WHERE id = %s", account.api.user_id)
    assert row["updated_by"] == account.api.user_id
    assert row["updated_at"] > row["created_at"]


def test_keeping_ones_own_name_is_no_duplicate(make: Maker) -> None:
    account = make.account()
    assert account.api.put(USERS, profile(nickname=account.nickname, phone=account.phone)) == {}


@pytest.mark.parametrize("field", ["nickname", "phone"])
def test_somebody_elses_name_is_a_duplicate(field: str, make: Maker) -> None:
    account, other = make.account(), make.account()
    account.api.refused(409, 2005, "PUT", USERS, json=profile(**{field: getattr(other, field)}))
    assert account.api.get(USERS)[field] == getattr(account, field)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("nickname", "No"),
        ("password", "short"),
        ("phone", "1"),
        ("profileImage", "x"),
        ("nickname", None),
        ("phone", 7),
    ],
)
def test_a_wrong_field_changes_nothing(field: str, value: Any, make: Maker) -> None:
    account = make.account()
    before = account.api.get(USERS)
    problems = account.api.refused(400, 1001, "PUT", USERS, json=profile(**{field: value}))
    assert [problem["field"] for problem in problems] == [field]
    assert account.api.get(USERS) == before


def test_email_and_role_cannot_be_changed(make: Maker) -> None:
    account = make.account()
    account.api.put(USERS, {**profile(), "email": "new@example.com", "isManager": True, "role": "ROLE_MANAGER"})
    assert account.api.get(USERS)["email"] == account.email
    (row,) = make.rows("user", "SELECT role FROM users WHERE id = %s", account.api.user_id)
    assert row["role"] == "ROLE_USER"


def test_of_simultaneous_changes_to_one_nickname_exactly_one_wins(make: Maker) -> None:
    accounts = [make.account() for _ in range(5)]
    nickname = sign_up_body()["nickname"]

    def change(account: Account) -> tuple[int, int]:
        return outcome(account.api.send("PUT", USERS, json=profile(nickname=nickname)))

    with ThreadPoolExecutor(len(accounts)) as threads:
        answers = sorted(threads.map(change, accounts))

    assert answers == [(200, 0)] + [(409, 2005)] * 4


def test_managers_see_everybody_and_nobodys_password(make: Maker, manager: Api) -> None:
    account = make.account()
    everybody = manager.get(f"{USERS}/all")
    assert account.api.get(USERS) in everybody
    assert all(user.keys() == {"userId", "nickname", "email", "phone", "profileImage"} for user in everybody)
    assert len(everybody) == len({user["userId"] for user in everybody})
