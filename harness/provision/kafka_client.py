"""Asking a Kafka broker whether it serves, with real requests."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

Result = TypeVar("Result")


class NotReadyError(Exception):
    """The broker does not answer, or not yet."""


@dataclass(frozen=True)
class Cluster:
    """What a broker says of its cluster."""

    cluster_id: str
    brokers: int


def describe_cluster(bootstrap: str, timeout: float) -> Cluster:
    """The cluster behind ``host:port[,host:port]``.

    Raises:
        NotReadyError: none of the servers answers within ``timeout`` seconds.
    """
    # A plain connection first: aiokafka logs an error for each one that is refused.
    _reach_any(bootstrap, timeout)
    return _run(_describe(bootstrap), timeout)


def exercise(bootstrap: str, timeout: float) -> None:
    """Make a topic, send a record with acks=all and read it back: what a broker does in its life.

    Raises:
        NotReadyError: it did not work within ``timeout`` seconds.
    """
    _run(_exercise(bootstrap), timeout)


def _reach_any(bootstrap: str, timeout: float) -> None:
    refused: OSError | ValueError | None = None
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout).close()
        except (OSError, ValueError) as error:
            refused = error
        else:
            return
    raise NotReadyError(str(refused)) from refused


def _run(work: Coroutine[Any, Any, Result], timeout: float) -> Result:
    """Run it on a loop of its own in a thread of its own: the caller may be on a loop already."""

    async def bounded() -> Result:
        return await asyncio.wait_for(work, timeout)

    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(asyncio.run, bounded()).result()
        except (KafkaError, OSError, TimeoutError) as error:
            raise NotReadyError(str(error) or f"no answer within {timeout:.0f} s") from error


async def _describe(bootstrap: str) -> Cluster:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await client.start()
        answer = await client.describe_cluster()
    finally:
        # A client that never connected has nothing to close, and says so with an exception of its own.
        with suppress(KafkaError):
            await client.close()
    return Cluster(str(answer["cluster_id"]), len(answer["brokers"]))


async def _exercise(bootstrap: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    await client.create_topics([NewTopic("exercise", num_partitions=1, replication_factor=1)])
    await client.close()
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait("exercise", b"value", key=b"key")
    async with AIOKafkaConsumer("exercise", bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        await consumer.getone()
