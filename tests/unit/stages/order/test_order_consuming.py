"""What of a partition may be committed: never anything behind a message that is not finished."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

# Of the stages that have a consumer; the others have nothing to test here.
consuming: Any = pytest.importorskip("order.consuming")

Begin = Callable[[int], "asyncio.Future[None]"]


def run(work: Callable[[Any, Begin], Awaitable[None]]) -> None:
    """``work`` on a new partition; ``begin`` begins a message, and returns what ends it."""

    async def running() -> None:
        progress = consuming.Progress()

        def begin(offset: int) -> asyncio.Future[None]:
            end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            async def handle() -> None:
                await end

            progress.begin(offset, asyncio.create_task(handle()))
            return end

        await work(progress, begin)
        for task in progress.under_way.values():
            task.cancel()

    asyncio.run(running())


async def settle(progress: Any) -> int | None:
    """What may be committed, once all that has ended is known to have."""
    for _ in range(3):
        await asyncio.sleep(0)
    progress.advance()
    offset: int | None = progress.committable
    return offset


def test_nothing_is_committed_before_anything_is_finished() -> None:
    async def work(progress: Any, begin: Begin) -> None:
        assert progress.committable is None
        begin(40)
        begin(41)
        assert await settle(progress) is None

    run(work)


def test_what_is_finished_behind_an_unfinished_one_waits_for_it() -> None:
    async def work(progress: Any, begin: Begin) -> None:
        first, second, third = begin(40), begin(41), begin(45)
        third.set_result(None)
        second.set_result(None)
        assert await settle(progress) is None
        assert list(progress.under_way) == [40], "what is finished is held no longer"
        first.set_result(None)
        assert await settle(progress) == 46
        progress.committed = 46
        assert progress.committable is None
        begin(50).set_result(None)
        assert await settle(progress) == 51

    run(work)


def test_what_was_cancelled_or_has_failed_is_not_finished() -> None:
    async def work(progress: Any, begin: Begin) -> None:
        begin(1).set_result(None)
        begin(2)
        begin(3).set_result(None)
        progress.under_way[2].cancel()
        assert await settle(progress) == 2
        begin(4).set_exception(RuntimeError("a bug"))
        with pytest.raises(RuntimeError, match="a bug"):
            await settle(progress)
        assert progress.committable == 2

    run(work)


@pytest.mark.parametrize("seed", range(20))
def test_the_committed_offset_is_the_first_that_is_not_finished(seed: int) -> None:
    async def work(progress: Any, begin: Begin) -> None:
        chance = random.Random(seed)
        offsets = sorted(chance.sample(range(100, 1000), 40))
        ends = {offset: begin(offset) for offset in offsets}
        for offset in chance.sample(offsets, len(offsets)):
            ends.pop(offset).set_result(None)
            may = await settle(progress)
            first = min(ends, default=offsets[-1] + 1)
            assert may == (None if first == progress.committed else first)
            if may is not None and chance.random() < 0.5:
                progress.committed = may

    run(work)
