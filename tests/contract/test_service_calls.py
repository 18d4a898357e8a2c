"""The calls between services, past the gateway: what credential they need, and what they answer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from common.identity import IdentitySigner, Role, Service, User
from tests.contract.client import outcome, refused, succeeded
from tests.contract.direct import Services
from tests.contract.making import Maker

# package, method, target, body
INTERNAL: list[tuple[str, str, str, Any]] = [
    ("user", "GET", "/users/1", None),
    ("user", "GET", "/users/fan/nickname", None),
    ("concert", "GET", "/concerts/1/detail", None),
    ("concert", "GET", "/concerts/1/seller", None),
    ("concert", "GET", "/concerts/1/word/search", None),
    ("concert", "GET", "/concerts/word/search", None),
    ("concert", "POST", "/concerts/list", [1]),
    ("concert", "GET", "/schedules/1/detail", None),
]
FOR_PEOPLE: list[tuple[str, str, str, Any]] = [
    ("user", "GET", "/users", None),
    ("user", "GET", "/users/all", None),
    ("concert", "GET", "/concerts", None),
    ("concert", "GET", "/schedules/1", None),
    ("concert", "POST", "/stages", {"name": "a", "location": "b", "row": 1, "col": 1}),
    ("order", "GET", "/bookings/seats/1", None),
    ("order", "GET", "/nowhere", None),
]
everything = pytest.mark.parametrize(("package", "method", "target", "body"), [*INTERNAL, *FOR_PEOPLE])
internal = pytest.mark.parametrize(("package", "method", "target", "body"), INTERNAL)

MANAGER = User(1, "manager@example.com", Role.MANAGER)
NOW = str(int(time.time()))
FORGED = {
    "a user": {"X-User-Id": "1", "X-Email": "manager@example.com", "X-Role": "ROLE_MANAGER"},
    "a service": {"X-Service": "order-service"},
    "a user, signed with nothing": {
        "X-User-Id": "1", "X-Email": "a", "X-Role": "ROLE_MANAGER", "X-Identity-Time": NOW, "X-Identity-Signature": "",
    },
    "a service, signed with nonsense": {
        "X-Service": "order-service", "X-Identity-Time": NOW, "X-Identity-Signature": "0" * 64,
    },
    "a service in the far future": {
        "X-Service": "order-service", "X-Identity-Time": "9" * 400, "X-Identity-Signature": "0" * 64,
    },
    "a service at no time": {
        "X-Service": "order-service", "X-Identity-Time": "now", "X-Identity-Signature": "0" * 64,
    },
}  # fmt: skip


@everything
def test_without_a_credential_it_is_401(services: Services, package: str, method: str, target: str, body: Any) -> None:
    refused(services.send(package, method, target, headers={}, json=body), 401, 2001)


@pytest.mark.parametrize("kind", FORGED)
def test_with_forged_headers_it_is_401(services: Services, kind: str) -> None:
    for package, method, target, body in (*INTERNAL, *FOR_PEOPLE):
        refused(services.send(package, method, target, headers=FORGED[kind], json=body), 401, 2001)


@everything
def test_a_bearer_token_alone_is_no_credential_for_a_service(
    services: Services, make: Maker, package: str, method: str, target: str, body: Any
) -> None:
    headers = {"Authorization": f"Bearer {make.person(Role.MANAGER).token}"}
    refused(services.send(package, method, target, headers=headers, json=body), 401, 2001)


@internal
@pytest.mark.parametrize("role", Role)
def test_a_person_is_not_a_service(
    services: Services, role: Role, package: str, method: str, target: str, body: Any
) -> None:
    caller = User(1, "somebody@example.com", role)
    refused(services.ask(package, method, target, caller=caller, json=body), 403, 1000)


@everything
def test_a_credential_is_good_for_one_call_only(
    services: Services, package: str, method: str, target: str, body: Any
) -> None:
    for caller in (Service("order-service"), MANAGER):
        for other_method, other_target in ((method, target + "0"), ("PUT", target), (method, target + "?page=0")):
            headers = services.signed(caller, other_method, other_target)
            refused(services.send(package, method, target, headers=headers, json=body), 401, 2001)


@everything
def test_a_credential_of_another_key_or_time_is_401(
    services: Services, monkeypatch: pytest.MonkeyPatch, package: str, method: str, target: str, body: Any
) -> None:
    foreign = Services(services.client, services.urls, IdentitySigner("another identity key, which nobody shares"))
    refused(foreign.ask(package, method, target, json=body), 401, 2001)
    now = time.time()
    for age in (-3600, 3600):
        with monkeypatch.context() as clock:
            clock.setattr("common.identity.time.time", lambda age=age: now + age)
            headers = services.signed(Service("order-service"), method, target)
        refused(services.send(package, method, target, headers=headers, json=body), 401, 2001)


@internal
def test_a_service_is_let_in(services: Services, package: str, method: str, target: str, body: Any) -> None:
    answer = services.ask(package, method, target, json=body)
    assert answer.status_code == 200 or outcome(answer) in {(404, 2000), (404, 3000), (404, 3002)}


def test_users_for_services_are_bare(services: Services, make: Maker) -> None:
    account = make.account()
    expected = {
        "userId": account.api.user_id, "nickname": account.nickname, "email": account.email, "phone": account.phone,
        "profileImage": "https://images.example/fan.png",
    }  # fmt: skip
    assert services.ask("user", "GET", f"/users/{account.api.user_id}").json() == expected
    found = services.ask("user", "GET", f"/users/{account.nickname[1:]}/nickname").json()
    assert expected in found
    assert all(account.nickname[1:] in user["nickname"] for user in found)
    assert services.ask("user", "GET", "/users/nobodyhasit/nickname").json() == []
    refused(services.ask("user", "GET", "/users/999999999"), 404, 2000)


def test_concerts_for_services_are_bare(services: Services, make: Maker) -> None:
    seller = make.person(Role.SELLER)
    first, second = make.concert(seller, concertName="Autumn ROCK"), make.concert(seller, concertName="Winter jazz")
    other = make.concert(concertName="Spring rock")

    assert services.ask("concert", "GET", f"/concerts/{first['id']}/detail").json() == first
    assert services.ask("concert", "GET", f"/concerts/{seller.user_id}/seller").json() == [first, second]
    assert services.ask("concert", "GET", f"/concerts/{seller.user_id}/rock/search").json() == [first]
    assert services.ask("concert", "GET", f"/concerts/{seller.user_id}/polka/search").json() == []
    found = services.ask("concert", "GET", "/concerts/rock/search").json()
    assert first in found
    assert other in found
    assert second not in found
    ids = [second["id"], 999_999_999, first["id"], first["id"]]
    listed = services.ask("concert", "POST", "/concerts/list", json=ids).json()
    assert sorted(listed, key=lambda concert: concert["id"]) == [first, second]
    assert services.ask("concert", "POST", "/concerts/list", json=[]).json() == []
    refused(services.ask("concert", "GET", "/concerts/999999999/detail"), 404, 3002)


def test_a_schedule_for_services_has_all_that_a_booking_needs(services: Services, make: Maker) -> None:
    seller = make.person(Role.SELLER)
    concert, venue = make.concert(seller), make.venue()
    schedule = make.schedule(concert, venue)

    assert services.ask("concert", "GET", f"/schedules/{schedule['id']}/detail").json() == {
        "id": schedule["id"], "concertId": concert["id"], "concertName": concert["concertName"], "runtime": 120,
        "price": 110_000, "sellerId": seller.user_id, "stageName": venue["name"], "location": "Seoul", "row": 10,
        "col": 20, "concertDate": "2031-03-05", "concertTime": "19:30:00",
    }  # fmt: skip
    refused(services.ask("concert", "GET", "/schedules/999999999/detail"), 404, 3000)


def test_the_words_in_paths_may_be_anything(services: Services, make: Maker) -> None:
    concert = make.concert(concertName="100%_ <봄> '&' 🎻")
    for word in ("100%25_", "%25_%20%3C", "%EB%B4%84", "'%26'", "%F0%9F%8E%BB"):
        assert concert in services.ask("concert", "GET", f"/concerts/{word}/search").json()
    assert concert not in services.ask("concert", "GET", "/concerts/100_/search").json()


def test_taken_seats_are_for_services_too(services: Services, make: Maker) -> None:
    schedule = make.schedule()
    make.booking(schedule, "2 3")
    assert succeeded(services.ask("order", "GET", f"/bookings/seats/{schedule['id']}")) == ["2 3"]
