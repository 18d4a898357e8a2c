"""The topics of a running stage: reading the dead letters, and sending them on their way again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from harness.dead_letters.letters import REPLAYED, Letter, Record, letters
from harness.errors import HarnessError
from harness.provision.kafka_client import NotReadyError, describe_cluster

# As stages call them (``order/messages.py``).
WORK, DEAD = "cancellations", "cancellations.dead"

_ANSWER_SECONDS = 5.0
_READ_SECONDS = 60.0


@dataclass(frozen=True)
class Topics:
    """Where the topics of one running stage are.

    Attributes:
        bootstrap: ``host:port[,host:port]``.
        prefix: of every topic's name.
    """

    bootstrap: str
    prefix: str

    def read(self) -> list[Letter]:
        """All dead letters, oldest first.

        Raises:
            HarnessError: there is no broker, or no such topic.
        """
        try:
            describe_cluster(self.bootstrap, _ANSWER_SECONDS)
            return letters(asyncio.run(asyncio.wait_for(self._read(), _READ_SECONDS)))
        except NotReadyError as problem:
            raise HarnessError(
                f"No Kafka answers at {self.bootstrap}: {problem}.", "Does the stage still run? See run_all.py up."
            ) from problem
        except (KafkaError, TimeoutError) as problem:
            raise _failed("read", problem) from problem

    def replay(self, chosen: Sequence[Letter]) -> None:
        """Publishes the original messages again, each to be worked on as if for the first time.

        A marker on the topic of the dead remembers each, written once the message is: who is interrupted in between
        has replayed one without a mark, which does no harm, since consumers do nothing twice.

        Raises:
            HarnessError: the broker did not acknowledge all of them.
        """
        try:
            asyncio.run(asyncio.wait_for(self._replay(chosen), _READ_SECONDS))
        except (KafkaError, TimeoutError) as problem:
            raise _failed("replayed", problem) from problem

    async def _read(self) -> list[Record]:
        name = self.prefix + DEAD
        await self._require(name)
        # Of no group: it is given all partitions, and commits nothing.
        async with AIOKafkaConsumer(name, bootstrap_servers=self.bootstrap, auto_offset_reset="earliest") as consumer:
            ends = await consumer.end_offsets(list(consumer.assignment()))
            await consumer.seek_to_beginning(*ends)
            found: list[Record] = []
            while any([await consumer.position(partition) < end for partition, end in ends.items()]):
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [_record(record) for record in records]
        return sorted(found, key=lambda record: (record.at, record.partition, record.offset))

    async def _require(self, name: str) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        try:
            topics = await admin.list_topics()
        finally:
            await admin.close()
        if name not in topics:
            others = sorted(topic.removesuffix(DEAD) for topic in topics if topic.endswith(DEAD))
            hint = f"Prefixes that have one: {', '.join(map(repr, others))}." if others else "No stage has one there."
            raise HarnessError(f"There is no topic {name} at {self.bootstrap}.", hint)

    async def _replay(self, chosen: Sequence[Letter]) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self.bootstrap, acks="all", enable_idempotence=True, max_request_size=2**21
        ) as producer:
            for one in chosen:
                record = one.record
                await producer.send_and_wait(self.prefix + WORK, record.value, record.key, headers=one.original_headers)
                marker = [(REPLAYED, one.id.encode())]
                await producer.send_and_wait(self.prefix + DEAD, None, record.key, record.partition, headers=marker)


def topics_of(file: Path) -> Topics:
    """Those of the stage that ``run_all.py up STAGE --json FILE`` has started.

    Raises:
        HarnessError: it is not such a file, or the stage has no Kafka.
    """
    hint = "It is what `run_all.py up STAGE --json FILE` writes."
    try:
        described = json.loads(file.read_text())
    except OSError as problem:
        raise HarnessError(f"{file} cannot be read: {problem.strerror}.", hint) from problem
    except ValueError as problem:
        raise HarnessError(f"{file} is not JSON.", f"{hint} Is the stage up already?") from problem
    if not isinstance(described, dict) or "stage" not in described:
        raise HarnessError(f"{file} describes no running stage.", hint)
    kafka = described.get("kafka")
    if kafka is None:
        raise HarnessError(f"{described['stage']} has no Kafka, and no dead letters.", "Later stages have.")
    return Topics(kafka["bootstrap"], kafka["prefix"])


def _record(record: Any) -> Record:
    at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    headers = tuple((name, value or b"") for name, value in record.headers)
    return Record(record.partition, record.offset, at, record.key, record.value, headers)


def _failed(verb: str, problem: Exception) -> HarnessError:
    reason = str(problem) or type(problem).__name__
    return HarnessError(f"The dead letters cannot be {verb}: {reason}.", "Does the stage's Kafka still run?")
