"""Who passes and who waits: the filter behind the token check, in front of the services.

While somebody waits, every newcomer joins the end of the line. To pass, a request must have been told by the log, after
its arrival, that nobody waits: so nobody is overtaken, at no gateway (docs/decisions/0010-admission-queue.md).
"""

from __future__ import annotations

import re
import secrets
import time

from prometheus_client import Counter
from pydantic_core import from_json, to_json

from common.errors import InvalidInput, ServiceUnavailable
from common.identity import User
from common.language import current_language
from common.wire import INT64_MAX, ok_bytes
from gateway.body import SMALL_BYTES, RequestBody
from gateway.desk import ORDER_SERVICE, OrderCalls, TicketDesk
from gateway.exchange import Exchange
from gateway.headers import from_client
from gateway.limit import Limit, Overload
from gateway.line import Line, LineDown
from gateway.notes import KEPT_SECONDS, Notes
from gateway.proxy import Proxy, target_of
from gateway.routes import Route
from gateway.settings import GatewaySettings
from gateway.tickets import Ticket, TicketOffice
from gateway.upstream import UpstreamClient

ADMISSIONS = Counter("gateway_admissions", "Queueable requests, by what became of them.", ["outcome"])
FORGED = Counter("gateway_forged_replays", "Clients' requests that claimed to be replays; the claim is dropped.")

# While an instance hangs, all who ask for their outcomes wait for the answer to those before them.
LOOK_UP_SECONDS = 3.0
_JSON = re.compile(rb"\s*application/([^;\s]+\+)?json\s*(;.*)?", re.IGNORECASE | re.DOTALL)
_REPLAY_CLAIMS = (b"x-resend-request", b"x-ticket-number", b"x-replay-token")


class Admission:
    """Forwards requests, or gives them a ticket; and what that takes, for as long as the process lives.

    Attributes:
        limits: of the queueable requests, of reads, and of all other changes.
    """

    def __init__(self, settings: GatewaySettings, client: UpstreamClient, proxy: Proxy) -> None:
        least, most, target = settings.limit_at_least, settings.limit_at_most, settings.limit_milliseconds / 1000
        self._limit = Limit("queueable", least, most, target)
        # Apart, so that no crowd of readers keeps anybody from paying.
        self._reads = Limit("read", settings.read_limit, settings.read_limit)
        self._changes = Limit("change", settings.change_limit, settings.change_limit)
        self.limits = self._limit, self._reads, self._changes
        self._overload = Overload(self._limit)
        self._proxy = proxy
        self._body_seconds = settings.answer_seconds
        queued = "|".join(re.sub(r"\{\w+\}", "[^/]+", route) for route in settings.queued_routes)
        self._queued = re.compile(queued or "(?!)")
        self._notes = Notes(settings)
        self.office = TicketOffice(settings.queue_key.get_secret_value())
        self.line = Line(settings, self._overload.looked)
        calls = OrderCalls(settings, client, "gateway", LOOK_UP_SECONDS)
        self.desk = TicketDesk(settings, self.line, calls, self._notes)

    async def close(self) -> None:
        await self.line.close()
        await self._notes.close()

    async def forward(self, exchange: Exchange, route: Route, user: User | None, body: RequestBody) -> None:
        """Sends the request on, as ``Proxy.forward`` does, or puts it in the line.

        Raises what that does, and ServiceUnavailable: it can neither pass nor wait.
        """
        called = f"{exchange.method} {exchange.path[len(route.service) + 1 :]}"
        if user is None or route.service != ORDER_SERVICE or not self._queued.fullmatch(called):
            others = self._reads if exchange.method in ("GET", "HEAD") else self._changes
            if body.is_small:
                await body.read(self._body_seconds)  # before it takes a place
            if not others.enter():
                raise ServiceUnavailable("too many requests are in flight")
            await self._pass(others, exchange, route, user, body)
            return
        if any(name in exchange.fields for name in _REPLAY_CLAIMS):
            FORGED.inc()
        body = RequestBody(exchange, SMALL_BYTES)
        if body.announced != 0 and not _JSON.fullmatch(exchange.fields.get(b"content-type", b"")):
            # Order-service would say no more; and the line need not keep what kind of body it is.
            raise InvalidInput.of("content-type", "must be application/json")
        from_client(exchange.headers)  # raises what it would raise if it passed
        content = await body.read(self._body_seconds) or b""
        # What repetitions under a key have in common, to the last byte; whether others are any, order-service will say.
        key, note, earlier = exchange.fields.get(b"idempotency-key"), None, None
        if key is not None:
            note = self.office.note((user.user_id, exchange.method, exchange.raw_path, exchange.query, key, content))
            earlier = await self._notes.ticket_of(note)
        if earlier is None and await self._may_pass():
            ADMISSIONS.labels("passed").inc()
            await self._pass(self._limit, exchange, route, user, body)
            return
        ticket_id = earlier or await self._queue(exchange, route, user, content, note)
        ADMISSIONS.labels("queued").inc()
        await self._hand_out(exchange, self.office.verify(ticket_id))

    async def _may_pass(self) -> bool:
        """Whether the request may pass; then it has a place. Without one it waits."""
        if self._overload.is_on and self.line.is_up:
            return False
        passes = False
        if self._limit.enter():
            try:
                passes = not await self.line.somebody_waits()
            except LineDown:
                passes = True
            finally:
                if not passes:
                    self._limit.leave()
        if not passes:
            self._overload.begin()
        return passes

    async def _pass(self, limit: Limit, exchange: Exchange, route: Route, user: User | None, body: RequestBody) -> None:
        started = time.perf_counter()
        try:
            await self._proxy.forward(exchange, route, user, body)
        finally:
            limit.leave(time.perf_counter() - started, well=0 < exchange.status < 500)

    async def _queue(self, exchange: Exchange, route: Route, user: User, content: bytes, note: str | None) -> str:
        """The id of a request's ticket, once Kafka has acknowledged it."""
        key, nonce = exchange.fields.get(b"idempotency-key"), secrets.token_urlsafe(12)
        request = {
            "method": exchange.method, "target": target_of(route, exchange), "language": current_language(),
            "userId": user.user_id, "email": user.email, "role": user.role,
            "idempotencyKey": key and key.decode("latin-1"), "nonce": nonce,
        }  # fmt: skip
        place = await self.line.append([("request", to_json(request))], _schedule(content), content)
        ticket_id = self.office.issue(*place, user.user_id, nonce).ticket_id
        await self._notes.see(ticket_id)
        # Another gateway may have given one to the same request at the same time.
        return await self._notes.give(note, ticket_id) if note else ticket_id

    async def _hand_out(self, exchange: Exchange, ticket: Ticket) -> None:
        place, ticket_id = self.desk.place(ticket), ticket.ticket_id.encode()
        told = {"ticketId": ticket.ticket_id, "ticketNumber": ticket.offset, "position": place.position}
        told["etaSeconds"] = place.eta_seconds
        cookie = f"ticket={self.office.cookie(ticket)}; Max-Age={KEPT_SECONDS}; Path=/monitor; HttpOnly"
        # Whoever ends TLS in front says so. Who lies harms nobody but themselves.
        is_secure = b"https" in (exchange.fields.get(b"x-forwarded-proto"), exchange.scope["scheme"].encode())
        cookie += "; SameSite=Strict" + ("; Secure" if is_secure else "")
        headers = [(b"content-type", b"application/json"), (b"location", b"/monitor/tickets/" + ticket_id)]
        headers += [(b"x-random-uuid", ticket_id), (b"x-ticket-number", b"%d" % ticket.offset)]
        headers += [(b"retry-after", b"%d" % place.retry_after), (b"set-cookie", cookie.encode())]
        await exchange.answer(202, headers, bytes(ok_bytes(to_json(told)).body))


def _schedule(body: bytes) -> bytes:
    """The schedule that the body names, in digits; empty if it names none, as order-service will say."""
    try:
        schedule_id = from_json(body)["scheduleId"]
    except (ValueError, KeyError, TypeError):
        return b""
    return b"%d" % schedule_id if type(schedule_id) is int and 0 < schedule_id <= INT64_MAX else b""
