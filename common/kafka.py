"""What everybody needs who talks to Kafka: topics that are there, clients that outlive their connections, and stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import (
    InvalidPartitionsError,
    KafkaConnectionError,
    KafkaError,
    NoError,
    TopicAlreadyExistsError,
    for_code,
)

logger = logging.getLogger(__name__)

_send = AIOKafkaConnection.send


def _send_or_close(connection: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    """``send``, which raises what its callers expect also when it meets a transport that has just been closed.

    For two turns of the event loop after a connection broke, uvloop's transport raises RuntimeError where aiokafka
    (0.14) expects OSError. In the task that keeps a client's metadata fresh nobody caught it: the task ended, and who
    waits for fresh metadata, such as a consumer that looks for its group's coordinator in order to commit, waited for
    as long as the process lived. A consumer in that state was seen after a broker had been killed under load.
    """
    try:
        return _send(connection, request, expect_response)
    except KafkaError:  # a RuntimeError too
        raise
    except RuntimeError as closed:
        connection.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"connection closed: {closed}") from closed


AIOKafkaConnection.send = _send_or_close


async def make_topics(bootstrap: str, topics: Sequence[NewTopic]) -> None:
    """Makes those of the topics that do not exist yet; several processes may do so at once.

    Raises:
        KafkaError: the broker does not answer, or refuses, or a topic is there with another number of partitions.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        there = {found["topic"]: len(found["partitions"]) for found in await admin.describe_topics()}
        for topic in topics:
            if there.get(topic.name, topic.num_partitions) != topic.num_partitions:
                raise InvalidPartitionsError(
                    f"{topic.name} has {there[topic.name]} partitions, and {topic.num_partitions} are asked for"
                )
        missing = [topic for topic in topics if topic.name not in there]
        answer = await admin.create_topics(missing) if missing else None
        # The client raises nothing of what the broker says to each of them. Another process may have been faster.
        for name, code, *_ in answer.topic_errors if answer else ():
            if (refusal := for_code(code)) not in (NoError, TopicAlreadyExistsError):
                raise refusal(name)
    finally:
        with suppress(KafkaError):  # one that never connected has nothing to close, and says so
            await admin.close()


async def stop(client: AIOKafkaConsumer | AIOKafkaProducer, seconds: float) -> None:
    """Stops a client, whatever state it is in, and waits for that so long at most.

    Without a limit it would wait for a broker that is away, and the process could not end. And a consumer that is just
    waiting to fetch again raises CancelledError (aiokafka 0.14, ``Fetcher.close``), as if we had been cancelled: nobody
    would go on after that. So it stops in a task of its own.
    """
    stopping = asyncio.create_task(client.stop())
    await asyncio.wait([stopping], timeout=seconds)
    if not stopping.done():
        stopping.cancel()
    elif not stopping.cancelled() and (problem := stopping.exception()) is not None:
        logger.warning("stopped with %s: %s", type(problem).__name__, problem)
