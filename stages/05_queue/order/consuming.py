"""Reading a topic: many messages at once, each finished before an offset behind it is committed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from common.kafka import stop
from order.settings import OrderSettings

logger = logging.getLogger(__name__)

Handle = Callable[[ConsumerRecord], Coroutine[Any, Any, None]]

# Messages that one process holds at once, those included that wait for another attempt.
HELD = 1000

_POLL_MS = 200
_COMMIT_EVERY_SECONDS = 0.2
# How long the broker may take to commit, or to let a consumer go.
_BROKER_SECONDS = 5.0
# In a rebalance, or at the end, messages under way may take as long; then they are left to who gets the partition.
_GRACE_SECONDS = 2.0
# After a kill -9 the partitions of the dead are given to others when its session is over; Kafka allows no shorter one.
_SESSION_MS = 6000


class Progress:
    """The messages of one partition that were begun.

    They finish in any order, but a committed offset says that *everything* before it is finished: what may be committed
    is the offset of the first that is not.
    """

    def __init__(self) -> None:
        self.under_way: dict[int, asyncio.Task[None]] = {}  # by offset, in rising order
        self._end: int | None = None
        self.committed: int | None = None

    def begin(self, offset: int, task: asyncio.Task[None]) -> None:
        """``task`` deals with the message at ``offset``, the next one of the partition."""
        self.under_way[offset] = task
        self._end = offset + 1
        if self.committed is None:
            self.committed = offset

    def advance(self) -> None:
        """Takes note of what has finished since the last call; raises what a message's task has raised."""
        for offset, task in list(self.under_way.items()):
            if task.done() and not task.cancelled():
                task.result()
                del self.under_way[offset]

    @property
    def committable(self) -> int | None:
        """The offset that may be committed; None if it has been, or nothing was begun."""
        offset = next(iter(self.under_way), self._end)
        return None if offset == self.committed else offset


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]
    """One member of a consumer group.

    Attributes:
        is_member: whether the group has given it its share of the partitions, be it none.
    """

    def __init__(self, settings: OrderSettings, topic: str, group: str, handle: Handle) -> None:
        """
        Args:
            handle: deals with one message and returns when it needs nothing more; what it raises ends the consumer.
        """
        self._topic = topic
        self._handle = handle
        self._partitions: dict[TopicPartition, Progress] = {}
        self._commit_due = 0.0
        self.is_member = False
        self._kafka = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap,
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_SESSION_MS // 4,
            # Between two polls all messages may be waiting for another attempt.
            max_poll_interval_ms=600_000,
        )

    async def run(self) -> None:
        """Reads until it is cancelled; then what is under way may finish, and is committed.

        Raises:
            KafkaError: the broker does not answer.
            Exception: what ``handle`` has raised.
        """
        self._kafka.subscribe([self._topic], listener=self)
        try:
            await self._kafka.start()
            while True:
                await self._begin_more()
                for progress in self._partitions.values():
                    progress.advance()
                if time.monotonic() >= self._commit_due:
                    await self._commit(dict(self._partitions))
                    self._commit_due = time.monotonic() + _COMMIT_EVERY_SECONDS
        finally:
            self.is_member = False
            try:
                await self._give_up(list(self._partitions))
            finally:
                await stop(self._kafka, _BROKER_SECONDS)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        self._partitions |= {partition: Progress() for partition in assigned}
        self.is_member = True

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        self.is_member = False
        await self._give_up(revoked)

    async def _begin_more(self) -> None:
        held = [task for progress in self._partitions.values() for task in progress.under_way.values()]
        if len(held) >= HELD:
            await asyncio.wait(held, timeout=_POLL_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
            return
        found = await self._kafka.getmany(timeout_ms=_POLL_MS, max_records=HELD - len(held))
        for partition, records in found.items():
            # Without progress it is being given up: whoever gets the partition begins at what was committed.
            if (progress := self._partitions.get(partition)) is not None:
                for record in records:
                    progress.begin(record.offset, asyncio.create_task(self._handle(record)))

    async def _give_up(self, partitions: Collection[TopicPartition]) -> None:
        """Nothing more is begun in ``partitions``; what can be finished soon is finished and committed."""
        leaving = {
            partition: self._partitions.pop(partition) for partition in partitions if partition in self._partitions
        }
        tasks = [task for progress in leaving.values() for task in progress.under_way.values()]
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=_GRACE_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        for progress in leaving.values():
            progress.advance()
        await self._commit(leaving)

    async def _commit(self, partitions: Mapping[TopicPartition, Progress]) -> None:
        offsets = {
            partition: offset
            for partition, progress in partitions.items()
            if (offset := progress.committable) is not None
        }
        if not offsets:
            return
        try:
            # Without a limit it would try again for as long as the broker is away, also at the end.
            async with asyncio.timeout(_BROKER_SECONDS):
                await self._kafka.commit(offsets)
        except (KafkaError, TimeoutError) as problem:
            # Whoever gets the partition repeats what has not been committed, which does no harm.
            logger.warning("offsets not committed: %s: %s", type(problem).__name__, problem)
            return
        for partition, offset in offsets.items():
            partitions[partition].committed = offset
