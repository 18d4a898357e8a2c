"""When a request is given up, and what whoever works on it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message

from gateway.body import ClientGoneError
from gateway.exchange import Exchange
from gateway.watch import PATIENCE_SECONDS, PERIOD_SECONDS, Watch, Watches

AGES = 60.0


def an_exchange(*messages: Message) -> Exchange:
    """One whose client says this, and then nothing more."""
    said = [*messages]

    async def receive() -> Message:
        if not said:
            await asyncio.sleep(AGES)
        return said.pop(0)

    async def send(_: Message) -> None:
        raise AssertionError("nothing is answered here")

    scope: dict[str, Any] = {"method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    return Exchange(scope, receive, send)


def test_what_is_done_in_time_is_left_alone() -> None:
    async def work() -> int:
        watches = Watches(AGES)
        with Watch(an_exchange({"type": "http.request"}), watches) as watch:
            watch.body_was_read()
            await asyncio.sleep(PATIENCE_SECONDS + 3 * PERIOD_SECONDS)
        return len(watches)

    assert asyncio.run(work()) == 0


def test_the_time_is_over() -> None:
    async def work() -> None:
        with Watch(an_exchange(), Watches(PERIOD_SECONDS)):
            await asyncio.sleep(AGES)

    with pytest.raises(TimeoutError):
        asyncio.run(work())


def test_the_client_has_gone() -> None:
    async def work() -> None:
        with Watch(an_exchange({"type": "http.disconnect"}), Watches(AGES)) as watch:
            watch.body_was_read()
            await asyncio.sleep(AGES)

    with pytest.raises(ClientGoneError):
        asyncio.run(work())


def test_who_still_reads_the_body_sees_for_itself_that_the_client_has_gone() -> None:
    """The messages are not taken from it."""

    async def work() -> Message:
        exchange = an_exchange({"type": "http.disconnect"})
        with Watch(exchange, Watches(AGES)):
            await asyncio.sleep(PATIENCE_SECONDS + 3 * PERIOD_SECONDS)
            return await exchange.receive()

    assert asyncio.run(work()) == {"type": "http.disconnect"}


def test_a_cancellation_that_got_lost_is_said_again() -> None:
    """As one does that comes with a time-out (Python 3.11); afterwards none is left over."""

    async def work() -> int:
        async def stubborn() -> None:
            with Watch(an_exchange(), Watches(PERIOD_SECONDS)):
                try:
                    await asyncio.sleep(AGES)
                except asyncio.CancelledError:
                    await asyncio.sleep(AGES)

        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(TimeoutError):
            await stubborn()
        return task.cancelling()

    assert asyncio.run(work()) == 0


def test_somebody_else_s_cancellation_stays_what_it_is() -> None:
    async def work() -> bool:
        async def watched() -> None:
            with Watch(an_exchange(), Watches(AGES)):
                await asyncio.sleep(AGES)

        task = asyncio.create_task(watched())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(work())
