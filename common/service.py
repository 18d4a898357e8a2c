"""How a service is put together: FastAPI with the contract's error envelope, behind the request boundary."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from common.boundary import Check, Operations, RequestBoundary
from common.database import DATABASE_ERRORS, is_unavailable
from common.errors import (
    FieldProblem,
    InvalidInput,
    MethodNotAllowed,
    NotFound,
    PlatformError,
    ServiceUnavailable,
    UnexpectedError,
)  # fmt: skip
from common.identity import IdentitySigner
from common.openapi import DocumentedApi
from common.settings import ProcessSettings
from common.telemetry import UNEXPECTED_ERRORS
from common.wire import failure

logger = logging.getLogger(__name__)

# What it gives, if anything, becomes the lifespan state, in which common.serve looks for what to do before a shutdown.
Lifespan = Callable[[], AbstractAsyncContextManager[Mapping[str, Any] | None]]


def build_api(title: str, routers: Sequence[APIRouter], lifespan: Lifespan) -> FastAPI:
    """The FastAPI application of a service, with every exception mapped to the contract's error table."""

    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with lifespan() as state:
            yield state or {}

    # Routes go straight on the application: a nested router costs every request a second search.
    routes = [route for router in routers for route in router.routes]
    api = DocumentedApi(
        title=title,
        lifespan=run,
        routes=routes,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Traces are made around the whole process, if at all (common.telemetry); FastAPI's own would double them.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    api.add_exception_handler(PlatformError, _platform_error)
    api.add_exception_handler(RequestValidationError, _validation_error)
    api.add_exception_handler(HTTPException, _http_exception)
    for database_error in DATABASE_ERRORS:
        api.add_exception_handler(database_error, _database_error)
    api.add_exception_handler(Exception, _unexpected_error)
    return api


def bounded(
    api: ASGIApp,
    settings: ProcessSettings,
    signer: IdentitySigner,
    checks: Sequence[Check],
    public: tuple[str, ...] = (),
) -> RequestBoundary:
    """``api`` behind identity, limits, request id and metrics; ``public`` paths need no identity."""
    return RequestBoundary(
        api,
        signer=signer,
        operations=Operations(checks),
        public=public,
        max_body_bytes=settings.max_body_bytes,
    )


def background(lifespan: Callable[[], AbstractAsyncContextManager[None]], checks: Sequence[Check]) -> ASGIApp:
    """A process that works beside HTTP: it serves health and metrics, and nothing else; ``lifespan`` runs the work."""
    operations = Operations(checks)

    async def serve_operations(request: Request) -> Response:
        return await operations.answer(request.url.path) or failure(NotFound())

    return Starlette(routes=[Route("/{path:path}", serve_operations)], lifespan=lambda _: lifespan())


async def _platform_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    if error.status >= 500:
        logger.warning("%s: %s", type(error).__name__, error)
    return failure(error)


async def _validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return failure(InvalidInput([_problem(detail) for detail in error.errors()]))


def _problem(detail: dict[str, Any]) -> FieldProblem:
    """The field's name without where it was found; the value itself is not repeated to the client."""
    where = [str(part) for part in detail["loc"]]
    if detail["type"] == "json_invalid":
        return FieldProblem("body", "malformed JSON")
    return FieldProblem(".".join(where[1:]) or where[0], detail["msg"].removeprefix("Value error, "))


async def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if isinstance(error.__cause__, PlatformError):
        # FastAPI wraps whatever goes wrong while it reads a body; the size limit is one such thing.
        return failure(error.__cause__)
    match error.status_code:
        case 404:
            return failure(NotFound())
        case 405:
            response = failure(MethodNotAllowed())
            response.headers.update(error.headers or {})
            return response
        case status if 400 <= status < 500:
            return failure(InvalidInput.of("body", "could not be read"))
    return await _unexpected_error(_, error)


async def _database_error(request: Request, error: Exception) -> Response:
    if is_unavailable(error):
        logger.warning("database unavailable: %s", type(error).__name__)
        return failure(ServiceUnavailable("database"))
    return await _unexpected_error(request, error)


async def _unexpected_error(request: Request, error: Exception) -> Response:
    UNEXPECTED_ERRORS.inc()
    logger.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    return failure(UnexpectedError())
