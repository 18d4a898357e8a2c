"""Where a request enters a process: what is done once for each, before and behind the framework.

Pure ASGI: FastAPI's ``@app.middleware("http")`` would cost about 300 µs a request (measured-costs.md).
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.context import REQUEST_ID, use_request_id
from common.errors import LoginRequired, PayloadTooLarge, PlatformError, ServiceUnavailable
from common.identity import IdentitySigner, set_caller
from common.language import use_language
from common.telemetry import RequestMetrics, metrics_page
from common.wire import failure, ok

logger = logging.getLogger(__name__)

Check = Callable[[], Awaitable[object]]

_REQUEST_ID = REQUEST_ID.encode()


class Operations:
    """``/health/live``, ``/health/ready`` and ``/metrics``: what operators ask, answered without identity."""

    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = checks

    async def answer(self, path: str) -> Response | None:
        """The response for ``path``, or None where it is none of the three."""
        if path == "/health/live":
            return ok()
        if path == "/health/ready":
            return await self._ready()
        if path == "/metrics":
            body, content_type = metrics_page()
            return Response(body, headers={"content-type": content_type})
        return None

    async def _ready(self) -> Response:
        for check in self._checks:
            try:
                await check()
            except Exception as problem:  # readiness reports every kind of failure alike, and says which
                logger.info("not ready: %s: %s", type(problem).__name__, problem)
                return failure(ServiceUnavailable(str(problem)))
        return ok()


class Boundary(ABC):
    """What every request goes through in front of an application: operations, request id, language, metrics.

    A subclass says whom it lets in.
    """

    def __init__(self, app: ASGIApp, operations: Operations) -> None:
        self._app = app
        self._operations = operations
        self._metrics = RequestMetrics()

    @abstractmethod
    def admit(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """Lets a request in: what the application receives it by. Raises what ``refusal`` has an answer to."""

    @abstractmethod
    def refusal(self, error: Exception) -> Response | None:
        """The answer to an exception that ends a request, if it is one that refuses it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        response = await self._operations.answer(scope["path"])
        if response is not None:
            await response(scope, receive, send)
            return
        started = time.perf_counter()
        headers: dict[bytes, bytes] = dict(scope["headers"])
        request_id = use_request_id(headers.get(_REQUEST_ID))
        use_language(headers.get(b"accept-language", b"").decode("latin-1"))
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (_REQUEST_ID, request_id.encode())]
            await send(message)

        try:
            await self._app(scope, self.admit(scope, headers, receive), send_with_id)
        except Exception as error:
            refusal = self.refusal(error)
            if refusal is not None:
                await refusal(scope, receive, send_with_id)
            # What the API's own handler has logged and answered, Starlette raises again for the server to see. uvicorn
            # would drop the connection for it, and with it a request that the gateway sends on it next.
            elif not status:
                raise
        finally:
            route = scope.get("route")
            template = route.path if route is not None else "unmatched"
            self._metrics.observe(scope["method"], template, status, time.perf_counter() - started)


class RequestBoundary(Boundary):
    """The boundary of a service of the platform: identity, and a limit to the body.

    Every path but ``public`` ones needs an identity that the gateway or another service signed; without one the
    answer is 401, so that a service reached directly gives nothing away.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        signer: IdentitySigner,
        operations: Operations,
        public: tuple[str, ...] = (),
        max_body_bytes: int,
    ) -> None:
        super().__init__(app, operations)
        self._signer = signer
        self._public = public
        self._max_body_bytes = max_body_bytes

    def admit(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        self._identify(scope, headers)
        return self._limited(headers, receive)

    def refusal(self, error: Exception) -> Response | None:
        return failure(error) if isinstance(error, PlatformError) else None

    def _identify(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        target: bytes = scope["raw_path"]
        if scope["query_string"]:
            target += b"?" + scope["query_string"]
        caller = self._signer.verify(headers, scope["method"], target)
        if caller is None and not scope["path"].startswith(self._public):
            raise LoginRequired("no identity")
        set_caller(caller)

    def _limited(self, headers: dict[bytes, bytes], receive: Receive) -> Receive:
        """``receive`` that refuses a body over the limit, whether it was announced or comes in chunks."""
        announced = headers.get(b"content-length")
        if announced is None and b"transfer-encoding" not in headers:
            return receive
        if announced is not None and int(announced) > self._max_body_bytes:
            raise PayloadTooLarge(self._max_body_bytes)
        received = 0

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_body_bytes:
                raise PayloadTooLarge(self._max_body_bytes)
            return message

        return receive_limited
