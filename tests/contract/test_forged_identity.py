"""What a client sends of the platform's own headers changes nothing: it opens no door and names no user."""

from __future__ import annotations

import time

import httpx
import pytest

from common.identity import Role
from tests.contract.client import Api, outcome
from tests.contract.making import CONCERTS, SIGN_UP, USERS, VENUES, Maker, concert_body, sign_up_body, venue_body

pytestmark = pytest.mark.unchanged_code("gateway/headers.py")

AS_MANAGER = [
    ("X-User-Id", "1"), ("X-Email", "manager@example.com"), ("X-Role", "ROLE_MANAGER"),
    ("X-Identity-Time", str(int(time.time()))), ("X-Identity-Signature", "0" * 64),
]  # fmt: skip
FORGERIES = {
    "manager": AS_MANAGER,
    "lower case": [(name.lower(), value) for name, value in AS_MANAGER],
    "upper case": [(name.upper(), value) for name, value in AS_MANAGER],
    "underscores": [(name.replace("-", "_"), value) for name, value in AS_MANAGER],
    "twice": [*AS_MANAGER, *AS_MANAGER],
    "role alone": [("X-Role", "ROLE_MANAGER")],
    "user alone": [("X-User-Id", "1")],
    "service": [("X-Service", "order-service"), ("X-Identity-Time", "1"), ("X-Identity-Signature", "0" * 64)],
    "named hop by hop": [*AS_MANAGER, ("Connection", "X-User-Id, X-Role, X-Identity-Signature")],
    "replay": [("X-Resend-Request", "true"), ("X-Ticket-Number", "1"), ("X-Random-UUID", "1")],
    "proxy": [("X-Forwarded-User", "1"), ("X-Original-URL", "/user-service/users/all")],
}  # fmt: skip


def send(http: httpx.Client, caller: Api, forgery: str, method: str, path: str, **request: object) -> httpx.Response:
    bearer = [("Authorization", f"Bearer {caller.token}")] if caller.token else []
    return http.request(method, path, headers=[*bearer, *FORGERIES[forgery]], **request)  # type: ignore[arg-type]


@pytest.mark.parametrize("forgery", FORGERIES)
def test_nobody_stays_nobody(forgery: str, http: httpx.Client, nobody: Api) -> None:
    for path in (CONCERTS, USERS, "/user-service/users/1", "/order-service/bookings/seats/1"):
        assert outcome(send(http, nobody, forgery, "GET", path)) == (401, 2001)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_user_stays_that_user(forgery: str, http: httpx.Client, make: Maker) -> None:
    account = make.account()

    profile = send(http, account.api, forgery, "GET", USERS)

    assert profile.json()["data"]["userId"] == account.api.user_id
    assert outcome(send(http, account.api, forgery, "GET", f"{USERS}/all")) == (403, 1000)
    assert outcome(send(http, account.api, forgery, "GET", f"{USERS}/1")) == (403, 1000)
    assert outcome(send(http, account.api, forgery, "POST", VENUES, json=venue_body())) == (403, 1000)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_seller_cannot_act_for_another(forgery: str, http: httpx.Client, make: Maker, seller: Api) -> None:
    created = send(http, seller, forgery, "POST", CONCERTS, json=concert_body()).json()["data"]
    others = make.concert()

    assert created["userId"] == seller.user_id
    answer = send(http, seller, forgery, "PATCH", f"{CONCERTS}/{others['id']}", json={"price": 1})
    assert outcome(answer) == (403, 3003)


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_public_call_believes_them_no_more(forgery: str, http: httpx.Client, nobody: Api, make: Maker) -> None:
    body = sign_up_body()

    assert outcome(send(http, nobody, forgery, "POST", SIGN_UP, json=body)) == (200, 0)

    (row,) = make.rows("user", "SELECT * FROM users WHERE email = %s", body["email"])
    assert row["role"] == Role.USER.value
    assert row["created_by"] is None
