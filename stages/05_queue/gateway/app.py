"""The gateway: raw ASGI, since it does little and does it for every request of the platform.

The order for each request: operations → request id and language → route → token → body → forward. See
docs/decisions/0002-gateway-raw-asgi-aiohttp.md.
"""

from __future__ import annotations

import logging
import time

from starlette.types import Receive, Scope, Send

from common.boundary import Operations
from common.errors import InvalidInput, NotAuthorized, NotFound, PlatformError, ServiceUnavailable, UnexpectedError
from common.identity import IdentitySigner, User
from common.telemetry import UNEXPECTED_ERRORS, RequestMetrics
from gateway import metrics
from gateway.admission import Admission
from gateway.authentication import TokenVerifier
from gateway.body import ClientGoneError, RequestBody
from gateway.exchange import Exchange
from gateway.monitor import Monitor
from gateway.proxy import AnswerCutError, Proxy
from gateway.routes import Access, Route, Routes
from gateway.settings import GatewaySettings
from gateway.ticket_monitor import TicketMonitor
from gateway.upstream import UpstreamClient
from gateway.waiting_page import PATH, WaitingPage

logger = logging.getLogger(__name__)

# nginx's status for a request whose client left; it is counted, never sent.
CLIENT_GONE = 499


class Gateway:
    """The ASGI application."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._operations = Operations([])
        self._routes = Routes(settings.service_urls)
        self._tokens = TokenVerifier(settings.jwt_secret.get_secret_value(), size=settings.token_cache_size)
        self._client = UpstreamClient(settings)
        monitor = Monitor(self._tokens, self._client.discovery)
        self._own = {"/monitor": monitor.page, "/monitor/instances": monitor.instances}
        signer = IdentitySigner(settings.identity_key.get_secret_value())
        self._admission = Admission(settings, self._client, Proxy(self._client, signer, settings))
        tickets = TicketMonitor(self._tokens, self._admission)
        page = WaitingPage(tickets, self._admission.desk)
        self._own |= {"/monitor/": tickets.answer, PATH: page.answer, "/waiting-queue": page.redirect}
        self._max_body_bytes = settings.max_body_bytes
        self._metrics = RequestMetrics()
        metrics.publish(self._tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        operation = await self._operations.answer(scope["path"])
        if operation is not None:
            await operation(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = Exchange(scope, receive, send)
        name = "refused"
        try:
            own = self._own.get(exchange.path) or self._own.get(exchange.path[: len("/monitor/")])
            if own is not None:
                name = "monitor"
                await own(exchange)
                return
            route = self._routes.find(exchange.method, exchange.path, exchange.raw_path)
            name = route.service
            user = self._authenticate(exchange, route)
            body = RequestBody(exchange, self._max_body_bytes)
            await self._admission.forward(exchange, route, user, body)
        except PlatformError as error:
            if isinstance(error, ServiceUnavailable):
                logger.warning("%s", error)
            await exchange.fail(error)
        except ClientGoneError:
            exchange.status = CLIENT_GONE
        except AnswerCutError as broken:
            # The answer is left unfinished, at which uvicorn closes the connection: the client sees that it is cut.
            logger.warning("answer cut: %s", broken)
        except Exception:
            UNEXPECTED_ERRORS.inc()
            logger.exception("unexpected error in %s", exchange.method)
            if not exchange.status:
                await exchange.fail(UnexpectedError())
        finally:
            self._metrics.observe(exchange.method, f"/{name}", exchange.status, time.perf_counter() - started)

    def _authenticate(self, exchange: Exchange, route: Route) -> User | None:
        """Whom the request is made for; None on a public route, where a token is neither needed nor looked at.

        Whoever has no valid token learns nothing of a path but that.
        """
        if route.access is Access.PUBLIC:
            return None
        user = self._tokens.user_of(exchange.headers)
        match route.access:
            case Access.SERVICE:
                raise NotAuthorized("a call between services")
            case Access.UNKNOWN:
                raise NotFound("no such service")
            case Access.MALFORMED:
                raise InvalidInput.of("path", "is not in normal form")
        return user

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self._client.open()
        await self._admission.line.open()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._admission.close()
        await self._client.close()
        await send({"type": "lifespan.shutdown.complete"})


def create_app(settings: GatewaySettings) -> Gateway:
    """The application that ``python -m common.serve gateway`` runs."""
    return Gateway(settings)
