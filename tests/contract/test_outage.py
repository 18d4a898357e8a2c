"""A service that is gone: 503 with ``Retry-After`` for what needs it, and nothing else is disturbed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.identity import Role
from harness.launch import RunningStage, Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, drop_database
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.contract.client import Api, refused
from tests.contract.making import (
    CONCERTS,
    LOGIN,
    SCHEDULES,
    SEATS,
    SIGN_UP,
    VENUES,
    Maker,
    making,
    number,
    sign_up_body,
)  # fmt: skip


@pytest.fixture
def lone_platform(
    stage: Stage, infrastructure: Infrastructure, supervisor: Supervisor, tmp_path: Path
) -> Iterator[RunningStage]:
    """A stage of this test's own, to be broken, on empty databases."""
    infrastructure.ensure(*(Component(name) for name in stage.infrastructure))
    names = {package: f"outage_{stage.id[:2]}_{name}_{number()}" for package, name in DATABASES.items()}
    urls = {package: create_database(infrastructure, name) for package, name in names.items()}
    with launch(
        stage, infrastructure, supervisor, database_urls=urls, secrets=Secrets(), log_folder=tmp_path
    ) as running:
        yield running
    for name in names.values():
        drop_database(infrastructure, name)


@pytest.fixture
def lone(lone_platform: RunningStage) -> Iterator[Maker]:
    with (
        plain.Client(base_url=lone_platform.gateway_url, timeout=20) as client,
        making(lone_platform, client) as maker,
    ):
        yield maker


def unavailable(answer: httpx.Response) -> None:
    refused(answer, 503, 5000)
    assert int(answer.headers["retry-after"]) >= 1


def eventually(api: Api, method: str, path: str, status: int) -> httpx.Response:
    """The answer once it has ``status``: what was remembered may be up to a second old."""
    deadline = time.monotonic() + 30
    answer = api.send(method, path)
    while answer.status_code != status and time.monotonic() < deadline:
        time.sleep(0.05)
        answer = api.send(method, path)
    return answer


def test_a_dead_order_service_takes_only_its_own_calls_with_it(lone: Maker) -> None:
    buyer, seller = lone.person(), lone.person(role=Role.SELLER)
    empty: dict[str, Any] = {
        "content": [], "number": 0, "size": 20, "totalElements": 0, "totalPages": 0, "numberOfElements": 0,
        "first": True, "last": True, "empty": True,
    }  # fmt: skip
    assert buyer.get(CONCERTS) == empty
    assert buyer.get(VENUES) == []
    concert = lone.concert(seller)
    schedule = lone.schedule(concert)
    path = f"{SCHEDULES}/{schedule['id']}"
    buyer.get(path)
    orders = lone.platform.processes["order"]

    for process in orders:
        process.kill()

    unavailable(buyer.send("GET", f"{SEATS}/{schedule['id']}"))
    unavailable(eventually(buyer, "GET", path, 503))
    # Whether seats are booked cannot be known now: nothing may be deleted on a guess.
    for endangered in (path, f"{CONCERTS}/{concert['id']}"):
        unavailable(seller.send("DELETE", endangered))
    lost = {"X-Request-Id": "lost-in-order-service"}
    unavailable(buyer.send("GET", path, headers=lost))
    logs = [process.log.read_text() for process in lone.platform.processes["concert"]]
    assert "lost-in-order-service" in "".join(logs)

    body = sign_up_body()
    nobody = Api(lone.http)
    nobody.post(SIGN_UP, body)
    nobody.post(LOGIN, {"email": body["email"], "password": body["password"]})
    assert buyer.get(CONCERTS)["totalElements"] == 1
    assert buyer.get(f"{CONCERTS}/{concert['id']}")["schedules"][0]["id"] == schedule["id"]
    assert seller.patch(f"{CONCERTS}/{concert['id']}", {"price": 1})["price"] == 1
    lone.schedule(concert, {"id": schedule["stageId"]})

    for process in orders:
        process.respawn()

    assert eventually(buyer, "GET", path, 200).json()["data"]["seatList"] == []
    assert buyer.get(f"{SEATS}/{schedule['id']}") == []
