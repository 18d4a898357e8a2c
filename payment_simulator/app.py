"""The ASGI application: routes, and in front of them what every request goes through."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope

from common.boundary import Boundary, Operations
from common.language import current_language
from common.telemetry import UNEXPECTED_ERRORS
from payment_simulator.errors import Refusal, TossError
from payment_simulator.idempotency import Answer
from payment_simulator.merchant_api import MerchantApi
from payment_simulator.provider import Provider
from payment_simulator.schema import LedgerUnusable
from payment_simulator.settings import PaymentSettings
from payment_simulator.simulator_api import SimulatorApi
from payment_simulator.wire import check_merchant, error_answer, json_response

logger = logging.getLogger(__name__)

CHECKOUTS = "/simulator/checkouts"


def create_app(settings: PaymentSettings) -> ASGIApp:
    """The application; ends the process with one sentence if the ledger cannot be opened."""
    try:
        provider = Provider(settings)
    except LedgerUnusable as unusable:
        sys.exit(f"payment_simulator: {unusable}")

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with provider.running():
            yield

    merchant, simulator = MerchantApi(provider), SimulatorApi(provider)
    # Any origin: the widget's page comes from order-service, and a checkout is the buyer's business alone.
    any_origin = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"], allow_headers=["content-type"])
    routes = [
        Route("/v1/payments/confirm", merchant.confirm, methods=["POST"]),
        Route("/v1/payments/{payment_key}/cancel", merchant.cancel, methods=["POST"]),
        Route("/v1/payments/orders/{order_id}", merchant.find_by_order),
        Route("/v1/payments/{payment_key}", merchant.find_by_key),
        Route(CHECKOUTS, simulator.check_out, methods=["POST", "OPTIONS"], middleware=[any_origin]),
        Route("/simulator/faults", simulator.faults, methods=["GET", "PUT"]),
        Route("/simulator/ledger", simulator.ledger),
        Route("/simulator/summary", simulator.summary),
    ]
    api = Starlette(
        routes=routes,
        lifespan=lifespan,
        exception_handlers={Refusal: _refused, HTTPException: _no_such_call, Exception: _unexpected},
    )
    return MerchantBoundary(api, provider)


class MerchantBoundary(Boundary):
    """Lets in who knows the merchant's secret key, and anybody to a checkout."""

    def __init__(self, app: ASGIApp, provider: Provider) -> None:
        super().__init__(app, Operations([provider.check]))
        self._secret_key = provider.settings.secret_key.get_secret_value()

    def admit(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        if scope["path"] != CHECKOUTS:
            check_merchant(headers.get(b"authorization", b"").decode("latin-1"), self._secret_key)
        return receive

    def refusal(self, error: Exception) -> Response | None:
        if not isinstance(error, Refusal):
            return None
        return json_response(error_answer(error.error, current_language()))


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return json_response(error_answer(error.error, current_language()))


async def _no_such_call(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = TossError.NOT_FOUND if error.status_code == 404 else TossError.INVALID_REQUEST
    answer = error_answer(code, current_language())
    response = json_response(Answer(error.status_code, answer.body))
    response.headers.update(error.headers or {})
    return response


async def _unexpected(request: Request, error: Exception) -> Response:
    UNEXPECTED_ERRORS.inc()
    logger.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    return json_response(error_answer(TossError.FAILED_INTERNAL_SYSTEM_PROCESSING, current_language()))
