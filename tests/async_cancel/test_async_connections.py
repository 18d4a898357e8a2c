"""What a Kafka client has to survive, whoever has it: connections that break at the wrong moment."""

from __future__ import annotations

import asyncio

import pytest
import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.metadata import MetadataRequest

import common.kafka  # noqa: F401 - mends aiokafka
from tests.async_cancel.stage_hall import Hall

SECONDS = 10.0


def test_a_connection_that_breaks_as_it_is_written_to_is_replaced(hall: Hall) -> None:
    """What is raised then must be what aiokafka expects: else the task dies that keeps the client's metadata fresh, and
    whoever asks it for that waits for ever."""

    async def is_renewed() -> bool:
        client = AIOKafkaClient(bootstrap_servers=hall.broker.bootstrap)
        await client.bootstrap()
        try:
            await client.force_metadata_update()
            (connection,) = client._conns.values()
            connection._writer.transport.abort()
            await asyncio.sleep(0)  # the transport knows, and the connection does not know yet
            with pytest.raises(KafkaConnectionError):
                connection.send(MetadataRequest([]))
            async with asyncio.timeout(SECONDS):
                return bool(await client.force_metadata_update())
        finally:
            await client.close()

    assert uvloop.run(is_renewed())
