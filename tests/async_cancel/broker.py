"""Kafka as the tests look at it: what is in a topic, what a group has finished."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import NodeNotReadyError

Result = TypeVar("Result")

_SECONDS = 30.0


@dataclass(frozen=True)
class Message:
    """One record of a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]


@dataclass(frozen=True)
class Broker:
    """The broker of a running stage; topics and groups are named without the stage's prefix."""

    bootstrap: str
    prefix: str

    def send(self, topic: str, *values: bytes | None, headers: Mapping[str, bytes] | None = None) -> None:
        """Writes messages, all of them with the same key."""

        async def work() -> None:
            async with AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all") as producer:
                for value in values:
                    await producer.send_and_wait(
                        self.prefix + topic, value, b"test", headers=list((headers or {}).items())
                    )

        _run(work)

    def messages(self, topic: str, since: Mapping[int, int] | None = None) -> list[Message]:
        """What the topic holds from those offsets on (partition to offset), each partition in its order."""

        async def work() -> list[Message]:
            async with self._reading(topic) as consumer:
                ends = await consumer.end_offsets(list(consumer.assignment()))
                for partition in ends:
                    consumer.seek(partition, (since or {}).get(partition.partition, 0))
                found: list[Message] = []
                while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                    for records in (await consumer.getmany(timeout_ms=100)).values():
                        found += [_message(record) for record in records]
                return sorted(found, key=lambda one: (one.partition, one.offset))

        return _run(work)

    def ends(self, topic: str) -> dict[int, int]:
        """Partition to the offset behind its last message; empty ones are left out."""

        async def work() -> dict[int, int]:
            async with self._reading(topic) as consumer:
                ends = await consumer.end_offsets(list(consumer.assignment()))
                return {partition.partition: end for partition, end in ends.items() if end}

        return _run(work)

    def committed(self, group: str) -> dict[int, int]:
        """Partition to the offset before which the group has finished everything."""

        async def work() -> dict[int, int]:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                offsets = await admin.list_consumer_group_offsets(self.prefix + group)
            finally:
                await admin.close()
            return {partition.partition: at.offset for partition, at in offsets.items() if at.offset > 0}

        return _run(work)

    def members(self, group: str) -> int:
        """How many consumers share the group's partitions."""

        async def work() -> int:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                (answer,) = await admin.describe_consumer_groups([self.prefix + group])
            finally:
                await admin.close()
            ((_, _, state, _, _, members, *_),) = answer.groups
            return len(members) if state == "Stable" else 0

        return _run(work)

    def _reading(self, topic: str) -> AIOKafkaConsumer:
        # Of no group: it is given all of the topic's partitions when it starts.
        return AIOKafkaConsumer(self.prefix + topic, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")


def _message(record: Any) -> Message:
    return Message(record.partition, record.offset, record.key, record.value, dict(record.headers))


def _run(work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    async def bounded() -> Result:
        async with asyncio.timeout(_SECONDS):
            while True:
                try:
                    return await work()
                except NodeNotReadyError:  # it has been paused or killed, and has only just come back
                    await asyncio.sleep(0.1)

    return asyncio.run(bounded())
