"""A database that is gone, or on its way up: 503 until it is back, never an unexpected error."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common.identity import Role
from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, provision
from harness.stages.manifest import Stage
from harness.supervise import ManagedProcess, Supervisor
from tests import plain
from tests.contract.client import Api, outcome
from tests.contract.making import CONCERTS, VENUES, Maker, making, venue_body

OK = (200, 0)
UNAVAILABLE = (503, 5000)


@pytest.fixture
def lone_servers(stage: Stage, tmp_path: Path) -> Iterator[Infrastructure]:
    """Servers of this test's own, to be broken."""
    with (
        Supervisor("outage") as owner,
        provision("embedded", owner, log_folder=tmp_path / "servers", report=print) as servers,
    ):
        servers.ensure(Component.POSTGRES, *(Component(name) for name in stage.infrastructure))
        yield servers


@pytest.fixture
def lone(
    stage: Stage, lone_servers: Infrastructure, supervisor: Supervisor, tmp_path: Path
) -> Iterator[tuple[Maker, ManagedProcess]]:
    """A stage on those servers, and their PostgreSQL."""
    urls = {package: create_database(lone_servers, name) for package, name in DATABASES.items()}
    postgres = lone_servers.server(Component.POSTGRES).process
    assert postgres is not None
    with (
        launch(stage, lone_servers, supervisor, database_urls=urls, secrets=Secrets(), log_folder=tmp_path) as running,
        plain.Client(base_url=running.gateway_url, timeout=20) as client,
        making(running, client) as maker,
    ):
        yield maker, postgres


class Asking:
    """Reads and writes without a pause, and what became of them."""

    def __init__(self, manager: Api) -> None:
        self._manager = manager
        self._counts: Counter[tuple[int, int]] = Counter()
        self._seen = threading.Condition()

    def go_on(self, stop: threading.Event) -> None:
        while not stop.is_set():
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


def test_a_database_that_is_gone_or_starting_is_503_and_heals(
    lone: tuple[Maker, ManagedProcess], lone_servers: Infrastructure
) -> None:
    maker, postgres = lone
    readiness = maker.platform.service_urls["concert"] + "/health/ready"
    with asked(maker.person(Role.MANAGER)) as asking:
        for end in (postgres.terminate, postgres.kill):
            asking.until(OK)
            end()
            asking.until(UNAVAILABLE)
            assert outcome(plain.get(readiness)) == UNAVAILABLE
            lone_servers.restart(Component.POSTGRES)
        asking.until(OK)
    assert asking.kinds == {OK, UNAVAILABLE}
    assert outcome(plain.get(readiness)) == OK
