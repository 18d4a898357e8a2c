"""One thread that owns a SQLite connection and works in groups, so that one flush to disk serves many requests.

While a commit waits for the disk, requests queue up; the thread takes all of them into the next transaction. Nobody
is delayed on purpose, and the group grows with the load. (PostgreSQL calls this group commit.)
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

from prometheus_client import Histogram

logger = logging.getLogger(__name__)

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

# More would make the first of a group wait for too many others.
MAX_GROUP = 256

GROUP_SIZE = Histogram(
    "payment_ledger_group_size", "Requests in one transaction.", ["mode"], buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)

Mode = Literal["read", "write"]
_BEGIN: dict[Mode, str] = {"read": "BEGIN", "write": "BEGIN IMMEDIATE"}


@dataclass
class _Job:
    work: Work[Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None


class LedgerThread:
    """Runs pieces of work against ``connection``, in order of arrival, many to a transaction."""

    def __init__(self, connection: sqlite3.Connection, mode: Mode) -> None:
        """Starts the thread; it owns the connection from now on. Must run on the event loop that will use it."""
        self._connection = connection
        self._begin = _BEGIN[mode]
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._group_size = GROUP_SIZE.labels(mode)
        self._thread = threading.Thread(target=self._run, name=f"ledger-{mode}", daemon=True)
        self._thread.start()

    async def run(self, work: Work[T]) -> T:
        """What ``work`` returns, once the transaction that it took part in is committed.

        If anything in a group fails, the group is rolled back and each piece is run again in a transaction of its own,
        so that only the broken one fails: ``work`` must have no other effect than on the ledger.

        Raises:
            Exception: what ``work`` or the commit raised; nothing of this piece is in the ledger then.
        """
        job = _Job(work, self._loop.create_future())
        self._queue.put(job)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Finishes what is queued, then closes the connection."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        closing = False
        while not closing:
            group, closing = self._next_group()
            if group:
                self._group_size.observe(len(group))
                self._transact(group)
                self._loop.call_soon_threadsafe(_settle, group)
        self._connection.close()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """Waits for one job and takes what else is there; whether the thread has been asked to end."""
        job = self._queue.get()
        group: list[_Job] = []
        while job is not None:
            group.append(job)
            if len(group) == MAX_GROUP:
                return group, False
            try:
                job = self._queue.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _transact(self, group: Sequence[_Job]) -> None:
        connection = self._connection
        try:
            connection.execute(self._begin)
            for job in group:
                job.result = job.work(connection)
            connection.execute("COMMIT")
        except Exception as error:
            # Whatever went wrong, the requests have to hear of it: each future gets a result or an error.
            self._roll_back()
            if len(group) == 1:
                group[0].error = error
                return
            for job in group:
                self._transact([job])

    def _roll_back(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            # The thread must go on: the next BEGIN fails, its requests are told so, and the rollback is tried again.
            logger.exception("the ledger's transaction could not be rolled back")


def _settle(group: Sequence[_Job]) -> None:
    for job in group:
        if job.future.cancelled():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)
