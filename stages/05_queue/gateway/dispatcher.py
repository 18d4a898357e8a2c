"""The dispatcher, a process of its own: ``python -m common.serve gateway:dispatcher``.

It reads the line in windows, in order of offsets, and each is finished before the next is begun: all of its requests
are handed to order-service, many at once, until they are answered. Any number of dispatchers may run: Kafka gives
each partition to one of them, and to another one when that one is gone. An offset is committed only when everything
before it is finished, so a crash repeats one window at most, which does no harm: tickets keep the outcome they have.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import stamina
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from prometheus_client import Counter
from pydantic_core import from_json
from starlette.types import ASGIApp

from common.errors import ServiceUnavailable
from common.identity import Role, User
from common.kafka import stop
from common.service import background
from gateway.desk import OrderCalls
from gateway.line import make_topic
from gateway.notes import Notes
from gateway.settings import BOOKING, GatewaySettings
from gateway.tickets import GROUP, TOPIC, TicketOffice
from gateway.upstream import UpstreamClient

logger = logging.getLogger(__name__)

DISPATCHED = Counter("gateway_dispatched", "Tickets that were handed to order-service and have their outcome.")
MALFORMED = Counter("gateway_malformed_records", "Records that no gateway has written: nobody has a ticket for them.")

PAUSE_SECONDS = 0.05
_POLL_MS, _BROKER_SECONDS = 200, 5.0
# After a kill -9 the partitions of the dead are given to others when its session is over; Kafka allows no shorter one.
_SESSION_MS = 6000
_LONGEST_WINDOW_MS = 3_600_000  # it takes as long as order-service is away


class Waiting(NamedTuple):
    """A request whose turn has come; as an item of a batch; and what it has of headers where it is made alone."""

    ticket_id: str
    user: User
    record: ConsumerRecord
    item: dict[str, Any]
    headers: list[tuple[bytes, bytes]]


class Dispatcher:
    """Serves the line."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self._office = TicketOffice(settings.queue_key.get_secret_value())
        self._client = UpstreamClient(settings)
        self._calls = OrderCalls(settings, self._client, "dispatcher", settings.answer_seconds)
        self._notes = Notes(settings)
        self._patiently = stamina.AsyncRetryingCaller(
            attempts=None, timeout=None, wait_initial=PAUSE_SECONDS, wait_jitter=PAUSE_SECONDS, wait_max=2.0
        ).on(ServiceUnavailable)
        self._is_member = False

    async def check(self) -> None:
        """Raises ServiceUnavailable while the group has not given it its share of the partitions, be it none."""
        if not self._is_member:
            raise ServiceUnavailable("no partition yet")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """It dispatches for as long as the block runs."""
        await self._client.open()
        dispatching = asyncio.create_task(self._run())
        try:
            yield
        finally:
            dispatching.cancel()
            await asyncio.gather(dispatching, return_exceptions=True)
            await self._notes.close()
            await self._client.close()

    async def _run(self) -> None:
        """Until it is cancelled; what has not been committed is read again, here or by another dispatcher."""
        while True:
            consumer = AIOKafkaConsumer(
                self._settings.kafka_prefix + TOPIC, group_id=self._settings.kafka_prefix + GROUP,
                bootstrap_servers=self._settings.kafka_bootstrap,
                enable_auto_commit=False, auto_offset_reset="earliest", max_poll_interval_ms=_LONGEST_WINDOW_MS,
                session_timeout_ms=_SESSION_MS, heartbeat_interval_ms=_SESSION_MS // 4,
            )  # fmt: skip
            try:
                await make_topic(self._settings)
                await consumer.start()
                self._is_member = True
                await self._dispatch(consumer)
            except Exception as problem:  # whatever keeps it from dispatching now, it tries again
                logger.warning("cannot dispatch", exc_info=problem)
            finally:
                self._is_member = False
                await stop(consumer, _BROKER_SECONDS)
            await asyncio.sleep(1.0)

    async def _dispatch(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            found = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._settings.queue_window)
            if found:
                await self._serve([record for records in found.values() for record in records])
                # Without a limit it would try again for as long as the broker is away.
                ends = {partition: records[-1].offset + 1 for partition, records in found.items()}
                await asyncio.wait_for(consumer.commit(ends), _BROKER_SECONDS)

    async def _serve(self, records: Sequence[ConsumerRecord]) -> None:
        """Returns when each has its outcome. All of a schedule are in one lane, in order: nobody overtakes there."""
        window = [waiting for record in records if (waiting := self._read(record))]
        gone = await self._notes.gone([waiting.ticket_id for waiting in window])
        lanes: dict[int, list[Waiting]] = defaultdict(list)
        for waiting in window:
            if waiting.ticket_id in gone:
                waiting.item.update(end="ABANDONED", body="")
            lanes[hash(waiting.record.key) % self._settings.dispatch_lanes].append(waiting)
        await asyncio.gather(*map(self._replay, lanes.values()))

    def _read(self, record: ConsumerRecord) -> Waiting | None:
        try:
            item = from_json(dict(record.headers)["request"])
            user = User(int(item["userId"]), str(item["email"]), Role(item["role"]))
            ticket_id = self._office.issue(record.partition, record.offset, user.user_id, str(item["nonce"])).ticket_id
            item["ticketId"], key = ticket_id, item["idempotencyKey"]
            # Of a key a character stands for each byte, as order-service reads it. Where there is none, the id will do.
            sent_key = ticket_id.encode() if key is None else key.encode("iso-8859-1")
            headers = [(b"accept-language", item["language"].encode()), (b"idempotency-key", sent_key)]
            if f"{item['method']} {item['target'].partition('?')[0]}" == BOOKING:
                item["body"] = record.value.decode("iso-8859-1")
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            MALFORMED.inc()
            logger.error("passed over a malformed record at %d: %s", record.offset, problem)
            return None
        return Waiting(ticket_id, user, record, item, headers)

    async def _replay(self, batch: Sequence[Waiting]) -> None:
        """Returns when each has its outcome. An order-service that is away fails nobody: tickets wait.

        A batch that fails is halved, until the request stands alone that order-service cannot deal with among others.
        """
        status, content = await self._patiently(self._calls.replay, [waiting.item for waiting in batch])
        if status != 200 and len(batch) > 1:
            await self._replay(batch[: len(batch) // 2])
            await self._replay(batch[len(batch) // 2 :])
            return
        alone = from_json(content) if status == 200 else [batch[0].ticket_id]
        await asyncio.gather(*(self._make(waiting) for waiting in batch if waiting.ticket_id in alone))
        DISPATCHED.inc(len(batch))

    async def _make(self, waiting: Waiting) -> None:
        """Makes a request as its owner would, that is no booking as it stands; its answer is the ticket's outcome."""
        method, target = waiting.item["method"], waiting.item["target"].encode()
        end, answer = "FAILED", {}
        for attempt in range(self._settings.dispatch_attempts):
            await asyncio.sleep(PAUSE_SECONDS * (2**attempt - 1))
            status, content = await self._patiently(
                self._calls.send, waiting.user, method, target, waiting.record.value, waiting.headers
            )
            if status < 500:
                end, answer = "DONE", {"httpStatus": status, "body": content.decode()}
                break
            logger.error("%s: HTTP %d", waiting.ticket_id, status)
        await self._patiently(self._calls.end, waiting.ticket_id, waiting.user.user_id, end, **answer)


def create_app(settings: GatewaySettings) -> ASGIApp:
    """Serves health and metrics; the work is done beside it."""
    dispatcher = Dispatcher(settings)
    return background(dispatcher.running, checks=[dispatcher.check])
