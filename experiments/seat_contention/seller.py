"""One instance that sells: ``python -m experiments.seat_contention.seller GUARD``, a line of standard input a crowd.

Order-service without its HTTP side, which is the same for all guards: a buyer is a task, and all of a crowd come at the
same moment. What came of them is written to the standard output, a line for each crowd.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import asdict

from common.database import DATABASE_ERRORS, is_unavailable
from common.errors import SeatAlreadyBooked, ServiceUnavailable
from experiments.seat_contention.guards import Book, opened
from experiments.seat_contention.model import Answers, Crowd
from order.seats import Seat


async def sell(book: Book, crowd: Crowd) -> Answers:
    """Raises whatever is neither an answer nor a refusal that the contract knows."""
    outcomes: list[str] = []
    seconds: list[float] = []

    async def buy(user_id: int, column: int) -> None:
        came = time.monotonic()
        outcome = await _outcome(book, crowd.schedule_id, column, user_id)
        outcomes.append(outcome)
        seconds.append(time.monotonic() - came)

    await asyncio.sleep(max(0.0, crowd.at - time.monotonic()))
    began = time.process_time()
    if crowd.at_once:
        await asyncio.gather(*(buy(number, column) for number, column in enumerate(crowd.columns, 1)))
    else:
        for number, column in enumerate(crowd.columns, 1):
            await buy(number, column)
    return Answers(outcomes, seconds, time.monotonic(), time.process_time() - began)


async def _outcome(book: Book, schedule_id: int, column: int, user_id: int) -> str:
    try:
        await book(schedule_id, Seat(1, column), user_id)
    except SeatAlreadyBooked:
        return "taken"
    except ServiceUnavailable:
        return "busy"
    except DATABASE_ERRORS as problem:
        if is_unavailable(problem):
            return "busy"
        raise
    return "sold"


async def main(guard: str) -> None:
    """Sells until the standard input ends."""
    async with opened(guard) as book:
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(asdict(await sell(book, Crowd(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
