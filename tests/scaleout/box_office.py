"""Two order-services that sell the seats of one show, each asked directly, and the locks that they share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import redis

from common.identity import IdentitySigner
from harness.provision import Component
from harness.supervise import ManagedProcess
from tests.contract.client import Api
from tests.contract.direct import Services
from tests.contract.ordering import Shop, metric
from tests.polling import until
from tests.scaleout.floor import BOTH

# Shorter than by default, to be waited for; not much, as a transaction that is idle for a quarter of it is given up,
# which on a busy machine may happen to somebody who is only slow.
LEASE_SECONDS = 4.0
WAIT_SECONDS = 10.0
OVERRIDES = {"ORDER_LEASE_SECONDS": str(LEASE_SECONDS), "ORDER_SEAT_WAIT_SECONDS": str(WAIT_SECONDS)}

WON, TAKEN, BUSY = (200, 0), (400, 4000), (503, 5000)


@dataclass(frozen=True)
class BoxOffice:
    """One show, and the instances that sell it."""

    shop: Shop
    client: httpx.Client
    threads: ThreadPoolExecutor

    @property
    def processes(self) -> Sequence[ManagedProcess]:
        return [self.shop.platform.process_of(name) for name in BOTH]

    @property
    def urls(self) -> list[str]:
        return [f"http://127.0.0.1:{port}" for port in self.shop.platform.ports["order"][: len(BOTH)]]

    def book(self, instance: int, buyer: Api, seats: Sequence[str], key: str = "") -> httpx.Response:
        """The answer of one of the instances.

        Raises:
            httpx.TransportError: it gave none.
        """
        assert buyer.user is not None
        signer = IdentitySigner(self.shop.platform.secrets.identity)
        services = Services(self.client, {"order": self.urls[instance]}, signer)
        headers = services.signed(buyer.user, "POST", "/bookings") | ({"Idempotency-Key": key} if key else {})
        return services.send("order", "POST", "/bookings", headers=headers, json=self.shop.request(buyer, seats))

    def count(self, name: str) -> float:
        """The sum of a counter of all instances."""
        return sum(metric(url, name) for url in self.urls)

    def sold(self, seats: Sequence[str]) -> list[tuple[str, int]]:
        """Those of the seats that are held, as often as they are, and by whom."""
        rows = self.shop.make.rows(
            "order", "SELECT seat_row || ' ' || seat_column AS seat, user_id FROM bookings WHERE schedule_id = %s"
            " AND status <> 'CANCELED' ORDER BY id", self.shop.schedule["id"],
        )  # fmt: skip
        return [(row["seat"], row["user_id"]) for row in rows if row["seat"] in seats]

    def locks(self) -> list[bytes]:
        """The keys of all seats that somebody holds the lock of."""
        with redis.Redis.from_url(self.shop.platform.infrastructure.redis_url) as server:
            return list(server.scan_iter(f"{self.shop.platform.prefix}:seat:*", count=10_000))

    @contextmanager
    def holding(self, instance: int, buyer: Api, seats: Sequence[str]) -> Iterator[Future[httpx.Response]]:
        """That instance has the lock and has booked the seats; its transaction cannot go on before the block ends.

        It waits to write the buyer's idempotency key, which somebody else is about to write.
        """
        url = self.shop.platform.database_urls["order"]
        with psycopg.connect(url) as database:
            database.execute(
                "INSERT INTO idempotency_keys (user_id, key, request_hash) VALUES (%s, 'held', '')", [buyer.user_id]
            )
            answer = self.threads.submit(self.book, instance, buyer, seats, "held")
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %s"
            asked = ["%INSERT INTO idempotency_keys%"]
            with psycopg.connect(url, autocommit=True) as other:
                assert until(lambda: other.execute(waits, asked).fetchone() == (1,))
            assert self.locks()
            yield answer
            database.rollback()

    def restart_lock_server(self, seconds_away: float) -> None:
        """Kills Redis, with all that it knows, and starts it again after a while."""
        servers = self.shop.platform.infrastructure
        process = servers.server(Component.REDIS).process
        assert process is not None
        process.kill()
        time.sleep(seconds_away)  # the length of the fault
        servers.restart(Component.REDIS)


def said(answer: httpx.Response) -> tuple[int, int]:
    """Status and code; whoever is told to come back is told when."""
    if answer.status_code == 503:
        assert int(answer.headers["retry-after"]) >= 1
    body: dict[str, Any] = answer.json()
    return answer.status_code, int(body["code"])
