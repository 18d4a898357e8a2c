"""Signing up: what is accepted, what is refused, and what is kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from common.identity import Role
from harness.launch import RunningStage
from tests.contract.client import Api, outcome
from tests.contract.making import LOGIN, PASSWORD, SIGN_UP, Maker, sign_up_body

pytestmark = pytest.mark.unchanged_code("user")

WRONG = [
    ("nickname", "abc"), ("nickname", "a" * 11), ("nickname", "Abcde"), ("nickname", "ab cd"), ("nickname", "ab-cd"),
    ("nickname", "가나다라"), ("nickname", "abcd\n"), ("nickname", "１２３４"), ("nickname", ""), ("nickname", 12345),
    ("nickname", None), ("nickname", "abc\x00"), ("nickname", ["abcd"]),
    ("email", "fan"), ("email", "fan@"), ("email", "@example.com"), ("email", "fan example@example.com"),
    ("email", "fan@example.com\nBcc: all@example.com"), ("email", 7), ("email", "fan@exa mple.com"),
    ("email", "a" * 300 + "@example.com"), ("email", "fan@@example.com"), ("email", ["fan@example.com"]),
    ("password", "Passw0!"), ("password", "Passw0rd!" + "a" * 7), ("password", "passw0rd!"), ("password", "PASSW0RD!"),
    ("password", "Password!"), ("password", "Passw0rdd"), ("password", "Passw0rd#!"), ("password", "Passw0rd ! "),
    ("password", "Pässw0rd!"), ("password", "Passw\u0660rd!"), ("password", 12345678), ("password", "Passw0rd!\n"),
    ("phone", "010123456"), ("phone", "010123456789"), ("phone", "010-1234-567"), ("phone", "+8210123456"),
    ("phone", "０１０１２３４５６７８"), ("phone", 1012345678), ("phone", "0101234567\n"), ("phone", ""),
    ("profileImage", "ftp://images.example/a.png"), ("profileImage", "javascript:alert(1)//a.png"),
    ("profileImage", "https://images.example/a.gif"), ("profileImage", "a.png"), ("profileImage", 7),
    ("profileImage", "https://images.example/a.png\n<script>"), ("profileImage", "https:///a.png"),
    ("isSeller", "yes"), ("isManager", 1), ("sellerToken", 7),
]  # fmt: skip

RIGHT = [
    ("nickname", "abcd"), ("nickname", "0123456789"), ("password", "Aa1@$!%*"), ("password", "Aa1@$!%*?&bcdef"),
    ("phone", "0212345678"), ("profileImage", ""), ("profileImage", "http://images.example/a.jpg"),
    ("profileImage", "https://images.example/a.png"), ("email", "first.last+tag@sub.example.co.kr"),
    ("isSeller", False), ("sellerToken", "wrong, but not asked for"), ("unknownField", {"is": "ignored"}),
]  # fmt: skip


def user_row(make: Maker, email: str) -> dict[str, Any]:
    (row,) = make.rows("user", "SELECT * FROM users WHERE email = %s", email)
    return row


def test_a_new_account_is_kept_with_a_hash_for_a_password(nobody: Api, make: Maker) -> None:
    body = sign_up_body()

    assert nobody.post(SIGN_UP, body) == {}

    row = user_row(make, body["email"])
    assert (row["nickname"], row["phone"], row["role"]) == (body["nickname"], body["phone"], "ROLE_USER")
    assert PASSWORD not in str(row)
    assert row["password_hash"].startswith(("$argon2", "$2"))
    assert row["created_at"] is not None
    assert row["updated_at"] is not None
    assert (row["is_deleted"], row["deleted_at"], row["deleted_by"]) == (False, None, None)


def test_equal_passwords_have_different_hashes(nobody: Api, make: Maker) -> None:
    bodies = [sign_up_body(), sign_up_body()]
    for body in bodies:
        nobody.post(SIGN_UP, body)
    assert len({user_row(make, body["email"])["password_hash"] for body in bodies}) == 2


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_field_is_named_and_nobody_is_signed_up(field: str, value: Any, nobody: Api, make: Maker) -> None:
    before = make.count("users")
    problems = nobody.refused(400, 1001, "POST", SIGN_UP, json=sign_up_body(**{field: value}))
    assert [problem["field"] for problem in problems] == [field]
    assert PASSWORD not in str(problems)
    assert make.count("users") == before


@pytest.mark.parametrize("field", ["nickname", "email", "password", "phone"])
def test_a_missing_field_is_named(field: str, nobody: Api) -> None:
    body = sign_up_body()
    del body[field]
    problems = nobody.refused(400, 1001, "POST", SIGN_UP, json=body)
    assert [problem["field"] for problem in problems] == [field]


def test_all_wrong_fields_are_named_at_once(nobody: Api) -> None:
    problems = nobody.refused(400, 1001, "POST", SIGN_UP, json=sign_up_body(nickname="x", phone="x", password="x"))
    assert sorted(problem["field"] for problem in problems) == ["nickname", "password", "phone"]


@pytest.mark.parametrize(("field", "value"), RIGHT)
def test_what_the_contract_allows_is_accepted(field: str, value: Any, nobody: Api) -> None:
    assert nobody.post(SIGN_UP, sign_up_body(**{field: value})) == {}


def test_an_image_is_optional(nobody: Api) -> None:
    body = sign_up_body()
    del body["profileImage"]
    assert nobody.post(SIGN_UP, body) == {}


@pytest.mark.parametrize(("field", "code"), [("email", 2002), ("nickname", 2005), ("phone", 2005)])
def test_what_somebody_has_already_is_a_duplicate(field: str, code: int, nobody: Api, make: Maker) -> None:
    first = sign_up_body()
    nobody.post(SIGN_UP, first)
    before = make.count("users")
    nobody.refused(409, code, "POST", SIGN_UP, json=sign_up_body(**{field: first[field]}))
    assert make.count("users") == before


@pytest.mark.parametrize(("field", "code"), [("email", 2002), ("nickname", 2005), ("phone", 2005)])
def test_of_simultaneous_sign_ups_exactly_one_wins(field: str, code: int, nobody: Api, make: Maker) -> None:
    value = sign_up_body()[field]
    bodies = [sign_up_body(**{field: value}) for _ in range(8)]

    with ThreadPoolExecutor(len(bodies)) as threads:
        answers = list(threads.map(lambda body: outcome(nobody.send("POST", SIGN_UP, json=body)), bodies))

    assert sorted(answers) == [(200, 0)] + [(409, code)] * 7
    assert len(make.rows("user", f"SELECT 1 FROM users WHERE {field} = %s", value)) == 1


@pytest.mark.parametrize(
    ("claim", "token", "code"),
    [("isSeller", "sellerToken", 2006), ("isManager", "managerToken", 2007)],
)
def test_a_role_needs_its_code(
    claim: str, token: str, code: int, nobody: Api, make: Maker, platform: RunningStage
) -> None:
    secrets = platform.secrets
    other = secrets.manager_code if claim == "isSeller" else secrets.seller_code
    before = make.count("users")
    for attempt in ({}, {token: ""}, {token: None}, {token: "guess"}, {token: other}, {token: "🎻"}):
        nobody.refused(400, code, "POST", SIGN_UP, json=sign_up_body(**{claim: True}, **attempt))
    assert make.count("users") == before


@pytest.mark.parametrize("role", [Role.USER, Role.SELLER, Role.MANAGER])
def test_the_code_gives_the_role(role: Role, make: Maker) -> None:
    assert user_row(make, make.account(role).email)["role"] == role.value


def test_a_role_is_not_given_to_who_only_names_it(nobody: Api, make: Maker) -> None:
    body = sign_up_body(role="ROLE_MANAGER", isDeleted=True, userId=1, id=1)
    nobody.post(SIGN_UP, body)
    assert user_row(make, body["email"])["role"] == "ROLE_USER"


def test_sign_ups_do_not_hold_up_other_requests(nobody: Api, buyer: Api) -> None:
    """Hashing takes tens of milliseconds of CPU each; it must not happen on the event loop."""
    body = sign_up_body()
    nobody.post(SIGN_UP, body)
    login = {"email": body["email"], "password": PASSWORD}
    with ThreadPoolExecutor(24) as threads:
        hashing = [threads.submit(nobody.send, "POST", LOGIN, json=login) for _ in range(24)]
        answered = 0
        while not all(future.done() for future in hashing):
            buyer.refused(404, 2000, "GET", "/user-service/users")
            answered += 1
        assert all(outcome(future.result()) == (200, 0) for future in hashing)
    # On the loop they would be answered one between two hashes at best.
    assert answered > len(hashing)
