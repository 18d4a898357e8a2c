"""The relay: publishes what transactions have left in the outbox.

A message is a row that is committed with the change that it tells of: both exist, or neither. The relay publishes the
rows and marks them. If it dies in between, a message is published twice, never lost; whoever reads it must not mind.
Any number of relays may work at once: each locks the rows that it publishes, and the others pass over them. A row waits
until all earlier ones with its key have been published, so that messages of one key keep their order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from prometheus_client import Counter
from sqlalchemy import text

from common.database import Database
from common.kafka import make_topics
from common.statements import Row
from order.messages import CANCELLATIONS, REQUEST_ID, SEND_SECONDS, producing, topic, topics
from order.settings import OrderSettings

logger = logging.getLogger(__name__)

PUBLISHED = Counter("order_outbox_published", "Messages that the broker has acknowledged.")
FAILED = Counter("order_outbox_failures", "Attempts to publish that failed.", ["error"])

AT_ONCE = 200
KEPT_SECONDS = 3600

_UNPUBLISHED = text("""
    SELECT id, key, body, request_id FROM outbox AS message
    WHERE published_at IS NULL AND NOT EXISTS (
        SELECT FROM outbox AS earlier
        WHERE earlier.key = message.key AND earlier.id < message.id AND earlier.published_at IS NULL
    )
    ORDER BY id LIMIT :at_once FOR UPDATE SKIP LOCKED
""")
# However long the broker takes: a setting that ends idle transactions (stage 04 has one) is not meant for this one.
_STAY_LOCKED = text("SET LOCAL idle_in_transaction_session_timeout = 0")
_MARK = text("UPDATE outbox SET published_at = now() WHERE id = ANY(CAST(:ids AS bigint[]))")


class Relay:
    """Publishes from this service's outbox as soon as it is told that something is there, and looks now and then."""

    def __init__(self, database: Database, settings: OrderSettings) -> None:
        self._database = database
        self._settings = settings
        self._topic = topic(settings, CANCELLATIONS)
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A message has been committed."""
        self._woken.set()

    async def run(self) -> None:
        """Publishes until it is cancelled; when the broker or the database does not answer, it tries again."""
        while True:
            try:
                await make_topics(self._settings.kafka_bootstrap, topics(self._settings))
                async with producing(self._settings) as producer:
                    await self._relay(producer)
            except Exception as problem:  # whatever keeps it from publishing now, it tries again
                FAILED.labels(type(problem).__name__).inc()
                logger.warning("cannot publish: %s: %s", type(problem).__name__, problem)
            await asyncio.sleep(self._settings.sweep_seconds)

    async def _relay(self, producer: AIOKafkaProducer) -> None:
        while True:
            self._woken.clear()
            while await self._publish(producer):
                pass
            # What another instance has committed and died over is found without being told.
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), self._settings.sweep_seconds)

    async def _publish(self, producer: AIOKafkaProducer) -> bool:
        """Publishes the oldest rows that nobody else is publishing; whether there may be more of them."""
        async with self._database.transaction() as transaction:
            rows = await transaction.rows(_UNPUBLISHED, at_once=AT_ONCE)
            if not rows:
                return False
            await transaction.rows(_STAY_LOCKED)
            sent = [
                await producer.send(self._topic, row.body.encode(), row.key.encode(), headers=_headers(row))
                for row in rows
            ]
            await _acknowledged(sent)
            await transaction.rows(_MARK, ids=[row.id for row in rows])
        PUBLISHED.inc(len(rows))
        return len(rows) == AT_ONCE


async def _acknowledged(sent: Sequence[asyncio.Future[Any]]) -> None:
    """Returns when all have been written, however long the broker is away.

    To give up and send again would publish them twice: what the producer was given, it sends sooner or later. Their
    rows stay locked, so that nobody else publishes them meanwhile, nor later ones of the same keys.
    """
    while (await asyncio.wait(sent, timeout=SEND_SECONDS))[1]:
        FAILED.labels("NoAnswer").inc()
        logger.warning("the broker has not acknowledged %d messages yet", sum(not one.done() for one in sent))
    for one in sent:
        one.result()


def _headers(row: Row) -> list[tuple[str, bytes]]:
    return [(REQUEST_ID, row.request_id.encode())]
