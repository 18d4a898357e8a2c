"""A running stage whose instances come and go, what its gateway says of them, and a crowd that keeps it busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import redis

from common.identity import Role
from harness.launch import RunningStage
from harness.provision import Component
from harness.supervise import ManagedProcess
from tests import plain
from tests.contract.client import Api
from tests.contract.making import SCHEDULES, SEATS
from tests.contract.ordering import BOOKINGS, Shop
from tests.polling import until

INSTANCES = "/monitor/instances"
BOTH = ("order", "order#2")
"""The instances that sell from the beginning to the end; others come and go."""

_CLIENTS = 8
# So that a crowd that waits for something leaves both cores to what it waits for.
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Asked:
    """One request of the crowd, by the monotonic clock."""

    method: str
    path: str
    sent_at: float
    answered_at: float
    status: int
    """0: no answer."""

    @property
    def is_failure(self) -> bool:
        return self.status != 200


@dataclass
class Crowd:
    """Clients that look seats up and book, one request after the other."""

    asked: list[Asked] = field(default_factory=list)

    @property
    def failures(self) -> list[Asked]:
        return [one for one in self.asked if one.is_failure]

    def await_more(self, count: int) -> None:
        """Returns when so many more requests have been answered."""
        wanted = len(self.asked) + count
        assert until(lambda: len(self.asked) >= wanted, 40)


@dataclass(frozen=True)
class Floor:
    """One show, and the instances that sell it."""

    shop: Shop

    @property
    def running(self) -> RunningStage:
        return self.shop.platform

    @property
    def redis(self) -> ManagedProcess:
        return self.running.process_of("redis")

    def instances(self, service: str = "order-service") -> dict[str, Mapping[str, Any]]:
        """What the gateway says of a service's instances, by URL."""
        listed = self.manager().get(INSTANCES)
        return {one["url"]: one for one in listed if one["service"] == service}

    def manager(self) -> Api:
        return self.shop.make.person(Role.MANAGER)

    def url(self, name: str) -> str:
        """Where the instance of that name listens."""
        component, _, number = name.partition("#")
        return f"http://127.0.0.1:{self.running.ports[component][int(number or 1) - 1]}"

    def usable(self, service: str = "order-service") -> set[str]:
        """The instances that get requests."""
        return {url for url, one in self.instances(service).items() if one["ready"] and not one["ejected"]}

    def await_usable(self, *names: str, seconds: float = 20.0) -> float:
        """Returns when these instances of a service and no others get requests: how many seconds that took."""
        wanted, began = {self.url(name) for name in names}, time.monotonic()
        service = f"{names[0].partition('#')[0]}-service"
        assert until(lambda: self.usable(service) == wanted, seconds), self.instances(service)
        return time.monotonic() - began

    def requests_at(self, name: str) -> float:
        """How many requests that instance has answered so far."""
        lines = plain.get(f"{self.url(name)}/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("http_request_seconds_count{"))

    def restart_redis(self) -> None:
        self.running.infrastructure.restart(Component.REDIS)

    def empty_redis(self) -> None:
        with redis.Redis.from_url(self.running.infrastructure.redis_url) as server:
            server.flushall()

    @contextmanager
    def crowd(self) -> Iterator[Crowd]:
        """Busy for as long as the block runs."""
        crowd, stop = Crowd(), threading.Event()
        threads = [threading.Thread(target=self._ask, args=(crowd, stop, number)) for number in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            crowd.await_more(5 * _CLIENTS)
            yield crowd
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _ask(self, crowd: Crowd, stop: threading.Event, number: int) -> None:
        buyer, schedule = self.shop.make.person(), self.shop.schedule["id"]
        with plain.Client(base_url=self.running.gateway_url, timeout=30) as client:
            while not stop.wait(_PAUSE_SECONDS):
                kind = len(crowd.asked) + number
                method, path, body = (
                    ("POST", BOOKINGS, self.shop.request(buyer, self.shop.seats())),
                    ("GET", f"{SEATS}/{schedule}", None),
                    ("GET", f"{SCHEDULES}/{schedule}", None),
                )[kind % 3]
                sent_at, status = time.monotonic(), 0
                try:
                    headers = {"Authorization": f"Bearer {buyer.token}"}
                    status = client.request(method, path, json=body, headers=headers).status_code
                except httpx.TransportError:
                    pass  # the gateway answers whatever happens behind it: a failure
                crowd.asked.append(Asked(method, path, sent_at, time.monotonic(), status))
