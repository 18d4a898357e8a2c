"""What order-service says over Kafka: the topics, and what is in a message."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from common.kafka import stop
from common.wire import WireModel
from order.settings import OrderSettings

CANCELLATIONS = "cancellations"
DEAD_LETTERS = "cancellations.dead"

# How many consumers can share the work.
PARTITIONS = 6

# How long the broker may take.
SEND_SECONDS = 5.0

# A dead letter is a message of up to 1 MiB, Kafka's usual limit, with a reason.
_LARGEST_BYTES = 2 * 1024 * 1024
# Dead letters are kept until somebody has looked at them.
_KEPT_FOREVER = {"retention.ms": "-1", "max.message.bytes": str(_LARGEST_BYTES)}

# Headers of a message: the request that it comes from; and of a dead letter, why it died.
REQUEST_ID, REASON, ATTEMPTS = "request-id", "reason", "attempts"


class CancelBooking(WireModel):
    """A cancellation that was accepted: its refund is to be done."""

    booking_id: int


def topic(settings: OrderSettings, name: str) -> str:
    """The topic's name on a server that is shared with others."""
    return settings.kafka_prefix + name


def topics(settings: OrderSettings) -> list[NewTopic]:
    """All of them, as they are made."""
    return [
        NewTopic(topic(settings, CANCELLATIONS), PARTITIONS, settings.kafka_replicas),
        NewTopic(topic(settings, DEAD_LETTERS), 1, settings.kafka_replicas, topic_configs=_KEPT_FOREVER),
    ]


@asynccontextmanager
async def producing(settings: OrderSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer whose messages are acknowledged by all replicas, and written once however often it has to send them.

    It goes on sending for as long as the broker is away: to wait for a message is to wait until it is written.

    Raises:
        KafkaError: the broker does not answer at the beginning, or refuses.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=int(1000 * SEND_SECONDS),
        max_request_size=_LARGEST_BYTES,
    )
    try:
        await producer.start()
        yield producer
    finally:
        await stop(producer, SEND_SECONDS)
