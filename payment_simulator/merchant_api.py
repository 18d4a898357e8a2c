"""``/v1``: what a shop needs of the Toss Payments core API: confirm, cancel, and the two look-ups.

Source: Toss Payments documentation, "Core API". A confirm or cancel goes through these steps: an answer stored under
its key is given again at once; the made latency; an injected error; the work, and its answer stored, in one
transaction; the answer, unless it is to be lost. Look-ups take no made latency and meet no faults.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response

from common.language import current_language
from payment_simulator import ledger
from payment_simulator.errors import Refusal, TossError
from payment_simulator.faults import Operation
from payment_simulator.idempotency import Answer, IdempotencyKey, read_key, store_answer, stored_answer
from payment_simulator.model import Payment, Status
from payment_simulator.provider import Provider, answered
from payment_simulator.wire import (
    ORDER_ID,
    CancelBody,
    ConfirmBody,
    LostAnswer,
    error_answer,
    json_response,
    parse,
    payment_answer,
    read_body,
)

# What was made up for this answer, in milliseconds; Toss has no such header.
LATENCY_HEADER = "x-simulated-latency-ms"

_INTERNAL_ERRORS = {
    Operation.CONFIRM: TossError.FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING,
    Operation.CANCEL: TossError.FAILED_INTERNAL_SYSTEM_PROCESSING,
}

Step = Callable[[sqlite3.Connection, ledger.Moment, TossError | None], Payment]


class MerchantApi:
    """The endpoints, for a caller whose secret key has been checked."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def confirm(self, request: Request) -> Response:
        """``POST /v1/payments/confirm``: takes the money of a checkout."""
        content = await read_body(request, self._provider.settings.max_body_bytes)
        body = parse(ConfirmBody, content)
        if not re.fullmatch(ORDER_ID, body.order_id, re.ASCII):
            raise Refusal(TossError.INVALID_ORDER_ID)
        wanted = ledger.Confirm(body.payment_key, body.order_id, body.amount)

        def step(connection: sqlite3.Connection, moment: ledger.Moment, decline: TossError | None) -> Payment:
            return ledger.confirm(connection, moment, wanted, decline)

        return await self._work(request, content, Operation.CONFIRM, lambda _: body.order_id, step)

    async def cancel(self, request: Request) -> Response:
        """``POST /v1/payments/{paymentKey}/cancel``: gives back ``cancelAmount``, or all that is left."""
        content = await read_body(request, self._provider.settings.max_body_bytes)
        body = parse(CancelBody, content)
        payment_key: str = request.path_params["payment_key"]

        def step(connection: sqlite3.Connection, moment: ledger.Moment, _: TossError | None) -> Payment:
            return ledger.cancel(connection, moment, payment_key, body.cancel_amount, body.cancel_reason)

        return await self._work(
            request, content, Operation.CANCEL, lambda connection: ledger.order_of(connection, payment_key), step
        )

    async def find_by_key(self, request: Request) -> Response:
        """``GET /v1/payments/{paymentKey}``"""
        payment_key: str = request.path_params["payment_key"]
        return await self._find(lambda connection, moment: ledger.find_by_key(connection, moment, payment_key))

    async def find_by_order(self, request: Request) -> Response:
        """``GET /v1/payments/orders/{orderId}``"""
        order_id: str = request.path_params["order_id"]
        return await self._find(lambda connection, moment: ledger.find_by_order(connection, moment, order_id))

    async def _find(self, look: Callable[[sqlite3.Connection, ledger.Moment], Payment]) -> Response:
        moment = self._provider.moment()
        work = answered(lambda connection: payment_answer(look(connection, moment)))
        return json_response(await self._provider.reader.run(work))

    async def _work(
        self,
        request: Request,
        content: bytes,
        operation: Operation,
        order_of: Callable[[sqlite3.Connection], str],
        step: Step,
    ) -> Response:
        path: str = request.scope["path"]
        key = read_key(request.headers.get("idempotency-key"), request.method, path, content)
        with self._provider.in_progress.hold(key):
            stored, order_id = await self._look_up(key, order_of)
            if stored is not None:
                return json_response(stored)
            request_key = f"{path}\n{key.key}" if key else f"{path}\n{content!r}"
            fate = self._provider.faults.next_draw(operation, request_key, order_id)
            if fate.latency_seconds:
                await asyncio.sleep(fate.latency_seconds)
            if fate.error:
                raise Refusal(_INTERNAL_ERRORS[operation])
            decline = TossError.REJECT_CARD_PAYMENT if fate.decline else None
            answer = await self._commit(key, step, decline)
        if fate.lost_answer:
            return LostAnswer()
        response = json_response(answer)
        response.headers[LATENCY_HEADER] = f"{fate.latency_seconds * 1000:.3f}"
        return response

    async def _look_up(
        self, key: IdempotencyKey | None, order_of: Callable[[sqlite3.Connection], str]
    ) -> tuple[Answer | None, str]:
        """The answer that the key had before, if any, and the order that is asked about (empty: unknown)."""
        now_ms = self._provider.moment().now_ms

        def work(connection: sqlite3.Connection) -> tuple[Answer | None, str]:
            stored = stored_answer(connection, key, now_ms) if key else None
            return stored, order_of(connection)

        return await self._provider.reader.run(work)

    async def _commit(self, key: IdempotencyKey | None, step: Step, decline: TossError | None) -> Answer:
        """Does the step and stores its answer; both are on disk when this returns."""
        moment = self._provider.moment()
        language = current_language()

        def attempt(connection: sqlite3.Connection) -> Answer:
            payment = step(connection, moment, decline)
            if decline is not None and payment.status is Status.ABORTED:
                return error_answer(decline, language)
            return payment_answer(payment)

        attempt_answered = answered(attempt)

        def work(connection: sqlite3.Connection) -> Answer:
            answer = attempt_answered(connection)
            if key is not None:
                store_answer(connection, key, answer, moment.now_ms)
            return answer

        return await self._provider.writer.run(work)
