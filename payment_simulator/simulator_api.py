"""``/simulator``: what Toss does elsewhere (the widget's checkout) or not at all (faults, reading the ledger back)."""

from __future__ import annotations

import logging
import re
import sqlite3

from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from payment_simulator import ledger
from payment_simulator.errors import Refusal, TossError
from payment_simulator.faults import FaultProfile
from payment_simulator.idempotency import Answer
from payment_simulator.provider import Provider, answered
from payment_simulator.readback import ledger_lines, summary
from payment_simulator.wire import ORDER_ID, CheckoutBody, json_response, parse, read_body

logger = logging.getLogger(__name__)


class SimulatorApi:
    """The endpoints; all but the checkout, which is the buyer's, for a caller with the secret key."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    async def check_out(self, request: Request) -> Response:
        """``POST /simulator/checkouts``: the buyer agrees to pay; a payment key bound to order and amount."""
        body = parse(CheckoutBody, await read_body(request, self._provider.settings.max_body_bytes))
        if not re.fullmatch(ORDER_ID, body.order_id, re.ASCII):
            raise Refusal(TossError.INVALID_ORDER_ID)
        moment = self._provider.moment()
        name = body.order_name or ledger.DEFAULT_ORDER_NAME

        def make(connection: sqlite3.Connection) -> Answer:
            made = ledger.make_checkout(connection, moment, body.order_id, body.amount, name)
            fields = {"paymentKey": made.payment_key, "orderId": made.order_id, "amount": made.amount}
            return Answer(200, to_json(fields))

        return json_response(await self._provider.writer.run(answered(make)))

    async def faults(self, request: Request) -> Response:
        """``GET /simulator/faults``: the profile in force; ``PUT``: another one, what it leaves out as configured."""
        faults = self._provider.faults
        if request.method == "PUT":
            content = await read_body(request, self._provider.settings.max_body_bytes)
            faults.profile = _profile(content, faults.configured)
            logger.info("faults switched: %s", faults.profile)
        return json_response(Answer(200, to_json(faults.profile, by_alias=True)))

    async def ledger(self, _: Request) -> Response:
        """``GET /simulator/ledger``: every row, as JSON lines."""
        # Starlette runs a plain generator in a thread.
        return StreamingResponse(ledger_lines(self._provider.settings.ledger), media_type="application/x-ndjson")

    async def summary(self, _: Request) -> Response:
        """``GET /simulator/summary``: counts and sums."""
        return json_response(Answer(200, to_json(await self._provider.reader.run(summary))))


def _profile(content: bytes, configured: FaultProfile) -> FaultProfile:
    try:
        given = from_json(content)
        if not isinstance(given, dict):
            raise Refusal(TossError.INVALID_REQUEST)
        return FaultProfile.model_validate({**configured.model_dump(by_alias=True), **given})
    except ValueError as invalid:  # pydantic's ValidationError is one
        raise Refusal(TossError.INVALID_REQUEST) from invalid
