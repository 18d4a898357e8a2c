"""The line, as a gateway sees it: records at its end, and how far the dispatcher has come.

The log is the truth: somebody waits if and only if the offset that the dispatcher has committed, which it does only
behind finished tickets, is before the end of a partition (its high watermark). There is no flag that could be wrong.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError
from prometheus_client import Counter, Gauge

from common.errors import ServiceUnavailable
from common.kafka import make_topics, stop
from common.together import Together
from gateway.settings import GatewaySettings
from gateway.tickets import GROUP, TOPIC

logger = logging.getLogger(__name__)

FAILURES = Counter("gateway_line_failures", "Times that Kafka did not answer the gateway.", ["reason"])
WAITING = Gauge("gateway_waiting", "Records in the line that have no outcome yet, as this gateway last saw it.")
UP = Gauge("gateway_line_up", "Whether Kafka answered this gateway when it was last asked.")

WATCH_SECONDS, _RETRY_SECONDS, FIRST_LOOK_SECONDS = 0.2, 1.0, 5.0
# How long Kafka keeps a record. Its outcome is kept longer: should offsets be lost, what is read again has one.
KEPT_SECONDS = 7 * 86_400
# What was measured so long ago has a weight of 1/e; until then, so many a second, as sure as one second of measuring.
MEMORY_SECONDS, PRIOR_RATE = 10.0, 50.0


class LineDown(ServiceUnavailable):
    """Kafka did not answer in time."""


class Stand:
    """Of one partition: everything before ``finished`` has an outcome; the next record will be at ``end``."""

    def __init__(self) -> None:
        self.finished = self.end = 0
        self._at = time.monotonic()
        self._drained, self._seconds = PRIOR_RATE, 1.0

    @property
    def waiting(self) -> int:
        return max(self.end - self.finished, 0)

    def seen(self, finished: int, end: int) -> None:
        """How far it has come, and so how fast: an exponentially weighted mean over the time in which somebody waited.

        While nobody does, the line moves as fast as people come, which says nothing.
        """
        now = time.monotonic()
        if self.waiting and finished >= self.finished:
            kept = math.exp((self._at - now) / MEMORY_SECONDS)
            self._drained = self._drained * kept + finished - self.finished
            self._seconds = self._seconds * kept + now - self._at
        self.finished, self.end, self._at = finished, end, now

    def eta_seconds(self, position: int) -> int:
        """Until the ticket at ``position`` is finished, rounded up; at most a day."""
        return math.ceil(min((position + 1) * self._seconds / max(self._drained, 1e-9), 86_400))


class Line:
    """The connections, behind a circuit breaker: a look that fails opens it, and the next one that succeeds closes it.

    Attributes:
        stands: of each partition, as last seen; of none before the first look.
        moved: set, and replaced by a new one, whenever the watch has looked; ``watcher`` is told then how many wait.
        is_up: whether Kafka answered when it was last asked.
    """

    def __init__(self, settings: GatewaySettings, watcher: Callable[[int], None]) -> None:
        self._settings, self._watcher = settings, watcher
        self._topic = settings.kafka_prefix + TOPIC
        self._looks = Together(self._look)
        self._producer: AIOKafkaProducer | None = None
        self.stands: dict[TopicPartition, Stand] = {}
        self.moved = asyncio.Event()
        self.is_up = False
        UP.set_function(lambda: self.is_up)

    async def open(self) -> None:
        """Returns when the line has been seen, so that nobody passes unasked; or soon: Kafka may be away for long."""
        self._watching = asyncio.create_task(self._watch())
        with suppress(TimeoutError):
            await asyncio.wait_for(self.moved.wait(), FIRST_LOOK_SECONDS)

    async def close(self) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    def stand(self, partition: int) -> Stand:
        """Raises ServiceUnavailable: this gateway knows nothing of the partition, or not yet."""
        found = self.stands.get(TopicPartition(self._topic, partition))
        if found is None:
            raise ServiceUnavailable("the line has not been seen")
        return found

    async def append(self, headers: list[tuple[str, bytes]], key: bytes, body: bytes) -> tuple[int, int]:
        """Partition and offset of a record that stands in the line: Kafka has acknowledged it.

        Raises LineDown: Kafka does not answer. The record may stand in the line nevertheless, and be served some day,
        though nobody holds its ticket: so its request must not be tried in another way.
        """
        producer = self._producer
        if producer is None or not self.is_up:
            raise LineDown("no answer from Kafka")
        try:
            async with asyncio.timeout(self._settings.kafka_seconds):
                record = await (await producer.send(self._topic, body, key or None, headers=headers))
        except TimeoutError as slow:
            raise self._failure(slow) from slow
        except KafkaError as problem:
            # What is numbered to be written once cannot be written by this producer any more; the watch makes another.
            self._producer = None
            raise self._failure(problem) from problem
        stand = self.stand(record.partition)
        stand.end = max(stand.end, record.offset + 1)
        return record.partition, record.offset

    async def somebody_waits(self) -> bool:
        """Whether somebody waits, at one moment after this call; raises LineDown if Kafka does not answer."""
        if not self.is_up:
            raise LineDown("no answer from Kafka")
        await self._looks.answer(None)
        return any(stand.waiting for stand in self.stands.values())

    def _failure(self, problem: BaseException) -> LineDown:
        FAILURES.labels(type(problem).__name__).inc()
        return LineDown(type(problem).__name__)

    async def _look(self, _: list[None]) -> Mapping[None, bool]:
        partitions = [TopicPartition(self._topic, number) for number in range(self._settings.queue_partitions)]
        try:
            async with asyncio.timeout(self._settings.kafka_seconds):
                ends, *finished = await asyncio.gather(
                    self._reader.end_offsets(partitions), *map(self._reader.committed, partitions)
                )
        except Exception as problem:  # whatever it is, the line has not been seen
            if self.is_up:
                logger.warning("admission queue down: %s: %s", type(problem).__name__, problem)
            self.is_up = False
            raise self._failure(problem) from problem
        for partition, offset in zip(partitions, finished, strict=True):
            self.stands.setdefault(partition, Stand()).seen(offset or 0, ends[partition])  # None: nothing is finished
        self.is_up = True
        return {}

    async def _watch(self) -> None:
        """Looks now and then, over new connections when the old ones are no good."""
        while True:
            try:
                async with self._connected():
                    while self._producer is not None:
                        await self._look_around()
            except Exception as problem:  # whatever keeps it from connecting now, it tries again
                logger.warning("cannot reach Kafka: %s: %s", type(problem).__name__, problem)
                self._failure(problem)
                await asyncio.sleep(_RETRY_SECONDS)

    async def _look_around(self) -> None:
        with suppress(LineDown):
            await self._looks.answer(None)
        waiting = sum(stand.waiting for stand in self.stands.values())
        WAITING.set(waiting)
        self._watcher(waiting)
        self.moved.set()
        self.moved = asyncio.Event()
        await asyncio.sleep(WATCH_SECONDS)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[None]:
        where, group = self._settings.kafka_bootstrap, self._settings.kafka_prefix + GROUP
        producer = AIOKafkaProducer(bootstrap_servers=where, acks="all", enable_idempotence=True)
        # It reads nothing and is no member of the group: it only asks how far the group has come.
        self._reader = AIOKafkaConsumer(bootstrap_servers=where, group_id=group, enable_auto_commit=False)
        try:
            await make_topic(self._settings)
            await producer.start()
            await self._reader.start()
            self._producer = producer
            yield
        finally:
            self._producer, self.is_up = None, False
            await asyncio.gather(*(stop(one, self._settings.kafka_seconds) for one in (producer, self._reader)))


async def make_topic(settings: GatewaySettings) -> None:
    """Makes the line's topic, unless it is there; raises KafkaError if the broker does not answer, or refuses."""
    topic = NewTopic(
        settings.kafka_prefix + TOPIC, settings.queue_partitions, settings.kafka_replicas,
        topic_configs={"retention.ms": f"{1000 * KEPT_SECONDS}"},
    )  # fmt: skip
    await make_topics(settings.kafka_bootstrap, [topic])
