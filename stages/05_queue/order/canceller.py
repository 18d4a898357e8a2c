"""The consumer of cancellations, a process of its own: ``python -m common.serve order:canceller``.

For each message the provider is asked for the refund, then the booking becomes CANCELED and its seat free, and only
then the message counts as finished. What is repeated after a crash does no harm: a refund that is done is passed over,
and one that is asked for again carries the same idempotency key.

Messages are worked on side by side: one that has to be tried again keeps no other from going on. What cannot be done
goes to the dead letters, to be looked at and replayed (``python -m harness dead-letters``).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import stamina
from aiokafka import ConsumerRecord
from prometheus_client import Counter
from starlette.types import ASGIApp

from common.context import current_request_id, use_request_id
from common.database import is_unavailable
from common.errors import ServiceUnavailable
from common.identity import IdentitySigner
from common.kafka import make_topics
from common.service import background
from order.consuming import Consumer
from order.messages import (
    ATTEMPTS,
    CANCELLATIONS,
    DEAD_LETTERS,
    REASON,
    REQUEST_ID,
    CancelBooking,
    producing,
    topic,
    topics,
)
from order.refunds import RefundRefused, refund_booking
from order.resources import Resources
from order.settings import OrderSettings

logger = logging.getLogger(__name__)

HANDLED = Counter("order_cancellations_handled", "Cancellation messages that are finished.", ["outcome"])

GROUP = "cancellations"

# Refunds that are asked of the provider at once; a message that waits for its next attempt does not count. Enough for
# a provider that takes three seconds and eighty cancellations a second: waiting costs a connection, and no CPU.
AT_ONCE = 256


def passes(problem: Exception) -> bool:
    """Whether waiting mends it: the provider or the database does not answer now."""
    if isinstance(problem, ServiceUnavailable):
        return not isinstance(problem, RefundRefused)
    return is_unavailable(problem)


class Canceller:
    """Does what the messages say, one consumer at a time."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._settings = resources.settings
        self._places = asyncio.Semaphore(AT_ONCE)
        self._burying = asyncio.Lock()  # a topic full of nonsense must not make a producer for each message at once
        self._consumer: Consumer | None = None

    async def check(self) -> None:
        """Raises ServiceUnavailable while it is no member of its group."""
        if self._consumer is None or not self._consumer.is_member:
            raise ServiceUnavailable("no partition yet")

    async def run(self) -> None:
        """Until it is cancelled; a broker that does not answer is tried again."""
        while True:
            try:
                await make_topics(self._settings.kafka_bootstrap, topics(self._settings))
                group = self._settings.kafka_prefix + GROUP
                self._consumer = Consumer(self._settings, topic(self._settings, CANCELLATIONS), group, self._handle)
                await self._consumer.run()
            except Exception as problem:  # whatever keeps it from consuming now, it tries again
                logger.warning("cannot consume", exc_info=problem)
            await asyncio.sleep(self._settings.sweep_seconds)

    async def _handle(self, record: ConsumerRecord) -> None:
        use_request_id(dict(record.headers).get(REQUEST_ID))
        attempts = 0
        try:
            message = CancelBooking.model_validate_json(record.value or b"")
            async for attempt in stamina.retry_context(
                on=passes, attempts=self._settings.refund_attempts, timeout=None, wait_initial=0.5, wait_max=30.0
            ):
                with attempt:
                    attempts = attempt.num
                    async with self._places:
                        await refund_booking(self._resources, message.booking_id)
        except Exception as problem:  # a bug must not stop the others, and is found where the dead are
            await self._bury(record, f"{type(problem).__name__}: {problem}", attempts)
        else:
            HANDLED.labels("done").inc()

    async def _bury(self, record: ConsumerRecord, reason: str, attempts: int) -> None:
        """Sends a message to the dead letters: only there it is finished."""
        logger.error("dead letter: %s after %d attempts: %s", record.key, attempts, reason)
        headers = [
            *((name, value) for name, value in record.headers if name not in (REQUEST_ID, REASON, ATTEMPTS)),
            (REQUEST_ID, current_request_id().encode()),
            (REASON, reason[:500].encode(errors="replace")),
            (ATTEMPTS, b"%d" % attempts),
        ]
        while True:
            try:
                async with self._burying, producing(self._settings) as producer:
                    where = topic(self._settings, DEAD_LETTERS)
                    await producer.send_and_wait(where, record.value, record.key, headers=headers)
            except Exception as problem:  # until it is written, its offset must not be committed
                logger.warning("dead letter not written: %s: %s", type(problem).__name__, problem)
                await asyncio.sleep(self._settings.sweep_seconds)
            else:
                HANDLED.labels("dead").inc()
                return


def create_app(settings: OrderSettings) -> ASGIApp:
    """Serves health and metrics; the work is done beside it."""
    resources = Resources.of(settings, IdentitySigner(settings.identity_key.get_secret_value()))
    canceller = Canceller(resources)

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        async with resources.opened():
            consuming = asyncio.create_task(canceller.run())
            try:
                yield
            finally:
                consuming.cancel()
                await asyncio.gather(consuming, return_exceptions=True)

    return background(lifespan, checks=[resources.database.check, canceller.check])
