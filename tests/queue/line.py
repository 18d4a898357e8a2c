"""The line of a running stage, as a gateway and a dispatcher see it, and what has become of its tickets."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import httpx
from aiokafka import AIOKafkaProducer

from common.identity import IdentitySigner, Role
from common.language import Language
from harness.launch import RunningStage
from harness.provision.kafka_client import NotReadyError, describe_cluster
from harness.supervise import ManagedProcess
from tests import plain
from tests.async_cancel.broker import Broker
from tests.contract.client import Api
from tests.contract.ordering import PRICE, Shop, metric
from tests.polling import until
from tests.queue.stage_code import stage_module

ADMISSIONS, GROUP = "admissions", "dispatch"

# In these tests (conftest.OVERRIDES): records that are dispatched at once, bookings and reads that each gateway lets
# pass at once, and seconds after which an owner who has not been seen is given up: more than a test may take.
WINDOW, LIMIT, READ_LIMIT, ABANDONED_AFTER = 40, 4, 20, 600


@dataclass(frozen=True)
class Wish:
    """A request for seats of one show, and who makes it."""

    user: Api
    body: bytes
    schedule_id: int
    key: str | None = None
    language: Language = Language.KOREAN


@dataclass(frozen=True)
class Place:
    """A wish that stands in the line, and its ticket."""

    wish: Wish
    ticket_id: str
    offset: int


@dataclass
class Line:
    """One stage, and everything that was put into its line."""

    shop: Shop
    places: list[Place] = field(default_factory=list)

    @property
    def running(self) -> RunningStage:
        return self.shop.platform

    @cached_property
    def broker(self) -> Broker:
        return Broker(self.running.infrastructure.kafka_bootstrap, f"{self.running.prefix}.")

    @property
    def dispatcher_url(self) -> str:
        return f"http://127.0.0.1:{self.running.ports['dispatcher'][0]}"

    def broker_answers(self) -> bool:
        try:
            describe_cluster(self.broker.bootstrap, 1.0)
        except NotReadyError:
            return False
        return True

    def process(self, name: str) -> ManagedProcess:
        return self.running.process_of(name)

    def wish(self, seats: Sequence[str], *, user: Api | None = None, show: Any = None, **changes: Any) -> Wish:
        """Somebody's, for seats of a show; ``changes`` to the wish itself."""
        user = user or self.shop.make.person()
        show = show or self.shop.schedule
        body = {"scheduleId": show["id"], "userId": user.user_id, "price": PRICE, "seat": list(seats)}
        return Wish(**{"user": user, "body": json.dumps(body).encode(), "schedule_id": show["id"], **changes})

    def join(self, *wishes: Wish) -> list[Place]:
        """Puts wishes into the line, in this order, as a gateway does."""
        places = asyncio.run(self._join(wishes))
        self.places += places
        return places

    async def _join(self, wishes: Sequence[Wish]) -> list[Place]:
        tickets = stage_module(self.running.stage.folder, "gateway/tickets.py")
        office = tickets.TicketOffice(self.running.secrets.queue)
        topic = self.broker.prefix + ADMISSIONS
        async with AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap, acks="all") as producer:
            sent = []
            for wish in wishes:
                nonce = secrets.token_urlsafe(12)
                request = {
                    "method": "POST", "target": "/bookings",
                    "userId": wish.user.user_id, "email": "one@example.com", "role": Role.USER,
                    "language": wish.language, "idempotencyKey": wish.key, "nonce": nonce,
                }  # fmt: skip
                headers, key = [("request", json.dumps(request).encode())], b"%d" % wish.schedule_id
                sent.append((nonce, await producer.send(topic, wish.body, key, headers=headers)))
            places = []
            for wish, (nonce, future) in zip(wishes, sent, strict=True):
                record = await future
                ticket = office.issue(record.partition, record.offset, wish.user.user_id, nonce)
                places.append(Place(wish, ticket.ticket_id, record.offset))
            return places

    def direct(self, wish: Wish) -> httpx.Response:
        """The answer to a wish that does not wait: order-service's, without the gateway, which would have it wait."""
        headers = {"content-type": "application/json", "accept-language": wish.language.value}
        signer = IdentitySigner(self.running.secrets.identity)
        for name, value in signer.headers_for(wish.user.user, "POST", b"/bookings"):  # type: ignore[arg-type]
            headers[name.decode()] = value.decode()
        if wish.key is not None:
            headers["idempotency-key"] = wish.key
        url = self.running.service_urls["order"] + "/bookings"
        return plain.post(url, content=wish.body, headers=headers, timeout=20)

    def outcomes(self, places: Sequence[Place]) -> list[tuple[str, int | None, Any] | None]:
        """Status, HTTP status and body of each ticket's outcome; None where there is none yet."""
        query = "SELECT ticket_id, status, http_status, body FROM tickets WHERE ticket_id = ANY(%s)"
        found = {
            row["ticket_id"]: row for row in self.shop.make.rows("order", query, [one.ticket_id for one in places])
        }
        return [
            None
            if (row := found.get(place.ticket_id)) is None
            else (row["status"], row["http_status"], row["body"] and json.loads(row["body"]))
            for place in places
        ]

    def served(self, places: Sequence[Place], seconds: float = 30.0) -> list[tuple[str, int | None, Any]]:
        """The outcomes, once all are there."""
        assert until(lambda: None not in self.outcomes(places), seconds), self.outcomes(places)
        return [outcome for outcome in self.outcomes(places) if outcome is not None]

    def finished(self) -> bool:
        """Whether the dispatcher has committed everything that is in the line."""
        return self.broker.committed(GROUP) == self.broker.ends(ADMISSIONS)

    def is_calm(self) -> bool:
        """Whether everything is served, and every gateway sees the line and is in no overload."""
        urls = [f"http://127.0.0.1:{port}" for port in self.running.ports["gateway"]]
        return self.finished() and all(
            metric(url, "gateway_line_up") == 1
            and metric(url, 'gateway_overload_changes_total{to="on"}')
            == metric(url, 'gateway_overload_changes_total{to="off"}')
            for url in urls
        )

    def holders(self, schedule_id: int) -> dict[str, int]:
        """Who holds which seat of a show; a seat that is held twice fails."""
        query = (
            "SELECT seat_row || ' ' || seat_column AS seat, user_id FROM bookings"
            " WHERE schedule_id = %s AND status <> 'CANCELED'"
        )
        rows = self.shop.make.rows("order", query, schedule_id)
        assert len({row["seat"] for row in rows}) == len(rows), "a seat was sold twice"
        return {row["seat"]: row["user_id"] for row in rows}

    @contextmanager
    def paused(self, name: str) -> Iterator[None]:
        """A process does nothing during the block (SIGSTOP)."""
        self.process(name).pause()
        try:
            yield
        finally:
            self.process(name).resume()
