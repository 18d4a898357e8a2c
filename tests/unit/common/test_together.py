"""Questions that are asked together, and when they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from common.together import Together


def test_who_asks_meanwhile_is_answered_by_the_next_lot() -> None:
    async def run() -> None:
        lots: list[list[int]] = []
        go_on = asyncio.Event()

        async def ask(questions: list[int]) -> Mapping[int, int]:
            lots.append(questions)
            await go_on.wait()
            return {question: question * 10 for question in questions if question != 3}

        together = Together(ask)
        first = asyncio.create_task(together.answer(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        late = [asyncio.create_task(together.answer(question)) for question in (1, 2, 2, 3)]
        await asyncio.sleep(0)
        go_on.set()
        assert await asyncio.gather(first, *late) == [10, 10, 20, 20, None]
        assert lots == [[1], [1, 2, 3]], "an answer that was under way is no answer to who came later"

    asyncio.run(run())


def test_a_lot_is_no_larger_than_it_may_be() -> None:
    async def run() -> None:
        lots: list[int] = []

        async def ask(questions: list[int]) -> Mapping[int, int]:
            lots.append(len(questions))
            return dict.fromkeys(questions, 1)

        together = Together(ask, at_most=3)
        assert await asyncio.gather(*map(together.answer, range(7))) == [1] * 7
        assert lots == [3, 3, 1]

    asyncio.run(run())


def test_a_failure_is_theirs_who_have_asked_and_nobody_elses() -> None:
    async def run() -> None:
        fails = True

        async def ask(questions: list[int]) -> Mapping[int, int]:
            if fails:
                raise RuntimeError("no answer")
            return dict.fromkeys(questions, 1)

        together = Together(ask)
        for answer in await asyncio.gather(together.answer(1), together.answer(2), return_exceptions=True):
            assert isinstance(answer, RuntimeError)
        fails = False
        assert await together.answer(1) == 1

    asyncio.run(run())


def test_who_leaves_takes_nobody_elses_answer_along() -> None:
    async def run() -> None:
        go_on = asyncio.Event()

        async def ask(questions: list[int]) -> Mapping[int, int]:
            await go_on.wait()
            return dict.fromkeys(questions, 1)

        together = Together(ask)
        leaving, staying = asyncio.create_task(together.answer(1)), asyncio.create_task(together.answer(1))
        await asyncio.sleep(0)
        leaving.cancel()
        go_on.set()
        assert await staying == 1
        with pytest.raises(asyncio.CancelledError):
            await leaving

    asyncio.run(run())
