"""What the calls share: the ledger's two threads, the faults in force, and the requests in progress."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from common.language import current_language
from payment_simulator.errors import Refusal
from payment_simulator.faults import Faults
from payment_simulator.group_commit import LedgerThread
from payment_simulator.idempotency import Answer, InProgress
from payment_simulator.ledger import Moment
from payment_simulator.schema import VERSION, open_for_reading, open_for_writing
from payment_simulator.settings import PaymentSettings
from payment_simulator.wire import error_answer

logger = logging.getLogger(__name__)


class Provider:
    """One payment provider with one merchant."""

    def __init__(self, settings: PaymentSettings) -> None:
        """Opens the ledger; raises LedgerUnusable if that cannot be done."""
        self.settings = settings
        self.faults = Faults(settings.seed, settings.fault_profile())
        self.in_progress = InProgress()
        self._writing = open_for_writing(settings.ledger)
        self.reader: LedgerThread
        self.writer: LedgerThread

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The ledger's threads, from the start of the server to its end; what is queued is finished first."""
        self.writer = LedgerThread(self._writing, "write")
        self.reader = LedgerThread(open_for_reading(self.settings.ledger), "read")
        logger.info("ledger %s; %s", self.settings.ledger, self.faults.profile)
        try:
            yield
        finally:
            await self.reader.close()
            await self.writer.close()

    def moment(self) -> Moment:
        return Moment(time.time_ns() // 1_000_000, int(self.settings.checkout_seconds * 1000))

    async def check(self) -> None:
        """Writes to the ledger, what is there already.

        Raises:
            sqlite3.Error: it cannot be written to.
        """
        await self.writer.run(lambda connection: connection.execute(f"PRAGMA user_version = {VERSION}"))


def answered(make: Callable[[sqlite3.Connection], Answer]) -> Callable[[sqlite3.Connection], Answer]:
    """``make`` with its refusals as answers, in the language of the request being served.

    A refusal is a result like any other: it must not roll back the group's transaction.
    """
    language = current_language()

    def work(connection: sqlite3.Connection) -> Answer:
        try:
            return make(connection)
        except Refusal as refusal:
            return error_answer(refusal.error, language)

    return work
