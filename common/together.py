"""Questions that are asked together: whoever asks while one is under way is answered by the next, with all others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class Together(Generic[Q, A]):
    """Asks for one lot of answers at a time."""

    def __init__(self, ask: Callable[[list[Q]], Awaitable[Mapping[Q, A]]], at_most: int = 500) -> None:
        """
        Args:
            ask: what it raises, everybody gets who has asked; a question that it does not answer is None.
        """
        self._ask = ask
        self._at_most = at_most
        self._waiting: dict[Q, asyncio.Future[A | None]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def answer(self, question: Q) -> A | None:
        """The answer, as of a moment after this call."""
        if question not in self._waiting:
            self._waiting[question] = asyncio.get_running_loop().create_future()
        future = self._waiting[question]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer())
        return await asyncio.shield(future)

    async def _answer(self) -> None:
        while self._waiting:
            asked = {question: self._waiting.pop(question) for question in list(self._waiting)[: self._at_most]}
            try:
                found = await self._ask(list(asked))
            except Exception as problem:  # is theirs who have asked
                for future in asked.values():
                    future.set_exception(problem)
                    future.exception()  # they may have left meanwhile
            else:
                for question, future in asked.items():
                    future.set_result(found.get(question))
