"""A running stage whose cancellations go through Kafka, and what the tests do to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psycopg

from harness.launch import RunningStage
from harness.provision.kafka_client import NotReadyError, describe_cluster
from harness.stages.manifest import REPOSITORY
from harness.supervise import ManagedProcess, free_port
from tests import plain
from tests.async_cancel.broker import Broker
from tests.contract.client import Api, outcome
from tests.contract.ordering import PRICE, Checkout, Shop
from tests.faults.answers import breach
from tests.polling import until

CANCELLATIONS, DEAD, GROUP = "cancellations", "cancellations.dead", "cancellations"

_THREADS = 8


@dataclass(frozen=True)
class Bought:
    """A CONFIRMED booking, the only one of its payment."""

    buyer: Api
    booking_id: int
    checkout: Checkout


@dataclass(frozen=True)
class Instance:
    """One process more, and where it listens."""

    process: ManagedProcess
    port: int


@dataclass
class Hall:
    """One show of a stage that refunds later."""

    shop: Shop
    logs: Path
    environments: Mapping[str, Mapping[str, str]]
    """What each component's first process was told."""
    accepted: list[Bought] = field(default_factory=list)
    """Every cancellation that any test was told of."""

    @property
    def running(self) -> RunningStage:
        return self.shop.platform

    @cached_property
    def broker(self) -> Broker:
        return Broker(self.running.infrastructure.kafka_bootstrap, f"{self.running.prefix}.")

    @property
    def canceller(self) -> ManagedProcess:
        (process,) = self.running.processes["canceller"]
        return process

    @property
    def order(self) -> ManagedProcess:
        (process,) = self.running.processes["order"]
        return process

    @property
    def kafka(self) -> ManagedProcess:
        return self.running.process_of("kafka")

    def await_ready(self) -> None:
        """Returns when every process of the stage says that it is ready."""
        self.running.await_ready()

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """What order-service's database says."""
        return self.shop.make.rows("order", query, *values)

    def buy(self, count: int, fault: str = "") -> list[Bought]:
        """CONFIRMED bookings, each with a payment and a buyer of its own."""

        def one(_: int) -> Bought:
            buyer = self.shop.make.person()
            (booking_id,), checkout = self.shop.buy(buyer, 1, fault)
            return Bought(buyer, booking_id, checkout)

        return [one(number) for number in range(count)]

    def cancel(self, *bought: Bought) -> list[httpx.Response]:
        """The answers to cancellations, a few at a time; each is one of the contract's."""
        with ThreadPoolExecutor(_THREADS) as threads:
            answers = list(threads.map(lambda one: self.shop.cancel(one.buyer, one.booking_id), bought))
        assert [problem for answer in answers if (problem := breach(answer))] == []
        self.accepted += [one for one, answer in zip(bought, answers, strict=True) if outcome(answer) == (200, 0)]
        return answers

    def accept(self, *bought: Bought) -> None:
        """Cancels, and nobody is told to come back later."""
        assert {outcome(answer) for answer in self.cancel(*bought)} <= {(200, 0)}

    def statuses(self, bought: Sequence[Bought]) -> list[str]:
        """Of the bookings, as they are now."""
        query = "SELECT status FROM bookings WHERE id = ANY(%s) ORDER BY id"
        return [row["status"] for row in self.rows(query, [one.booking_id for one in bought])]

    def refunded(self, one: Bought) -> list[int]:
        """What the provider has given back of one payment, as it is now."""
        return self.shop.given_back_by_now(one.checkout)

    def settled(self, bought: Sequence[Bought], seconds: float = 40.0) -> None:
        """Returns when all are CANCELED, each with one refund and no more."""
        wanted = ["CANCELED"] * len(bought)
        assert until(lambda: self.statuses(bought) == wanted, seconds), self.statuses(bought)
        assert [self.refunded(one) for one in bought] == [[PRICE]] * len(bought)

    def finished(self) -> bool:
        """Whether the group has committed everything that there is to do."""
        return self.broker.committed(GROUP) == self.broker.ends(CANCELLATIONS)

    def ends_now(self) -> dict[int, int] | None:
        """What there is to do, by the broker; None while it does not answer."""
        try:
            describe_cluster(self.broker.bootstrap, 1.0)
        except NotReadyError:
            return None
        return self.broker.ends(CANCELLATIONS)

    def unpublished(self) -> int:
        (row,) = self.rows("SELECT count(*) AS n FROM outbox WHERE published_at IS NULL")
        return int(row["n"])

    def dead_letters(self) -> list[Any]:
        return self.broker.messages(DEAD)

    @contextmanager
    def one_more(self, component: str, **settings: str) -> Iterator[Instance]:
        """A second process of a component, with the first one's settings but for ``settings``."""
        (first,) = self.running.processes[component]
        port = free_port()
        process = self.running.supervisor.spawn(
            f"{component}-more",
            first.argv,
            env={**self.environments[component], "ORDER_PORT": str(port), **settings},
            cwd=REPOSITORY,
            log=self.logs / f"{component}-more.log",
            grace_seconds=15.0,
        )
        try:
            assert until(lambda: is_ready(port) or not process.alive(), 40), process.tail()
            assert process.alive(), process.tail()
            yield Instance(process, port)
        finally:
            self.running.supervisor.release(process)

    @contextmanager
    def payments_locked(self, bought: Sequence[Bought]) -> Iterator[None]:
        """Nobody commits the end of a refund of these until the block is over; the provider may do it."""
        with psycopg.connect(self.running.database_urls["order"]) as connection:
            keys = [one.checkout.payment_id for one in bought]
            connection.execute("SELECT FROM payments WHERE id = ANY(%s) FOR NO KEY UPDATE", [keys])
            yield
            connection.rollback()


def is_ready(port: int) -> bool:
    """Whether the process that listens there says that it is ready."""
    try:
        return plain.get(f"http://127.0.0.1:{port}/health/ready", timeout=2).status_code == 200
    except httpx.TransportError:
        return False
