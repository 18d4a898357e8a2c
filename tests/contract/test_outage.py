"""What is gone takes only what needs it with it: 503 with ``Retry-After``, and nothing else is disturbed.

All of it happens, in this order, to one stage that other tests do not use.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from common.identity import Role
from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, provision
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.contract.client import Api, outcome, refused
from tests.contract.making import (
    CONCERTS,
    LOGIN,
    SCHEDULES,
    SEATS,
    SIGN_UP,
    VENUES,
    Maker,
    making,
    sign_up_body,
    venue_body,
)

OK = (200, 0)
UNAVAILABLE = (503, 5000)


@pytest.fixture(scope="module")
def lone_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """A PostgreSQL of these tests' own, to be broken."""
    logs = tmp_path_factory.mktemp("lone-servers")
    with Supervisor("outage") as owner, provision("embedded", owner, log_folder=logs, report=print) as servers:
        servers.ensure(Component.POSTGRES)
        yield servers


@pytest.fixture(scope="module")
def lone(
    stage: Stage,
    infrastructure: Infrastructure,
    lone_servers: Infrastructure,
    supervisor: Supervisor,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Maker]:
    """A stage on empty databases of that PostgreSQL; what else it needs is nobody's target, and shared."""
    infrastructure.ensure(*(Component(name) for name in stage.infrastructure))
    with (
        launch(
            stage,
            infrastructure,
            supervisor,
            database_urls={package: create_database(lone_servers, name) for package, name in DATABASES.items()},
            secrets=Secrets(),
            log_folder=tmp_path_factory.mktemp("lone"),
        ) as running,
        plain.Client(base_url=running.gateway_url, timeout=20) as client,
        making(running, client) as maker,
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


def test_where_nothing_was_made_lists_are_empty(lone: Maker) -> None:
    buyer = lone.person()
    assert buyer.get(CONCERTS) == {
        "content": [], "number": 0, "size": 20, "totalElements": 0, "totalPages": 0, "numberOfElements": 0,
        "first": True, "last": True, "empty": True,
    }  # fmt: skip
    assert buyer.get(VENUES) == []


def test_a_dead_order_service_takes_only_its_own_calls_with_it(lone: Maker) -> None:
    buyer, seller = lone.person(), lone.person(role=Role.SELLER)
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


class Asking:
    """Reads and writes all the time, and what became of them."""

    def __init__(self, manager: Api) -> None:
        self._manager = manager
        self._counts: Counter[tuple[int, int]] = Counter()
        self._seen = threading.Condition()

    def go_on(self, stop: threading.Event) -> None:
        while not stop.wait(0.02):
            for method, path, body in (("GET", f"{CONCERTS}?size=1", None), ("POST", VENUES, venue_body())):
                answer = outcome(self._manager.send(method, path, json=body))
                with self._seen:
                    self._counts[answer] += 1
                    self._seen.notify_all()

    def until(self, wanted: tuple[int, int], count: int = 4) -> None:
        """Waits for so many more of these answers."""
        with self._seen:
            before = self._counts[wanted]
            assert self._seen.wait_for(lambda: self._counts[wanted] >= before + count, 30), self._counts

    @property
    def kinds(self) -> set[tuple[int, int]]:
        return set(self._counts)


@contextmanager
def asked(manager: Api) -> Iterator[Asking]:
    asking, stop = Asking(manager), threading.Event()
    threads = [threading.Thread(target=asking.go_on, args=(stop,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield asking
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_database_that_is_gone_or_starting_is_503_and_heals(lone: Maker, lone_servers: Infrastructure) -> None:
    postgres = lone_servers.server(Component.POSTGRES).process
    assert postgres is not None
    readiness = lone.platform.service_urls["concert"] + "/health/ready"
    with asked(lone.person(Role.MANAGER)) as asking:
        for end in (postgres.terminate, postgres.kill):
            asking.until(OK)
            end()
            asking.until(UNAVAILABLE)
            assert outcome(plain.get(readiness)) == UNAVAILABLE
            lone_servers.restart(Component.POSTGRES)
        asking.until(OK)
    assert asking.kinds == {OK, UNAVAILABLE}
    assert outcome(plain.get(readiness)) == OK
