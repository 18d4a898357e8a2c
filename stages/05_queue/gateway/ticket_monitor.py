"""``/monitor/**``: what the line says of itself, and of a ticket to its owner."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress

from prometheus_client import Counter

from common.errors import LoginRequired, MethodNotAllowed, NotAuthorized, NotFound, ServiceUnavailable, TicketNotFound
from common.wire import ok_bytes
from gateway.admission import Admission
from gateway.authentication import TokenVerifier
from gateway.desk import TicketStatus
from gateway.exchange import Exchange
from gateway.limit import Limit
from gateway.tickets import Ticket
from gateway.watch import Watch, Watches

REFUSED = Counter("gateway_refused_tickets", "Tickets and cookies that were not believed.", ["reason"])

# A stream costs some 30 kB, for as long as its client waits.
MOST_STREAMS = 2_000
# The last event's id; who comes back with it has been told everything.
_ENDED = b"ended"
_COOKIE = re.compile(rb"(?:^|;) *ticket=([^; ]+)")
# So that proxies and browsers do not take a quiet stream for a dead one.
_QUIET_SECONDS = 10.0

_TEXT, _NO_STORE = (b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store")


class TicketMonitor:
    """Answers for the gateway itself, and forwards nothing."""

    def __init__(self, tokens: TokenVerifier, admission: Admission) -> None:
        self._tokens = tokens
        self._office, self._line, self._desk = admission.office, admission.line, admission.desk
        self._limits, self._streams = admission.limits, Limit("stream", MOST_STREAMS, MOST_STREAMS)
        self._watches = Watches(float("inf"))  # a stream takes as long as the line
        stands = admission.line.stands
        # Plain text, as the original's.
        self._texts: dict[str, Callable[[Exchange, str], str]] = {
            "current-count": lambda *_: str(self._in_flight()),
            "reset-count": lambda exchange, _: f"현재 처리 중인 요청 수는: {self._reset(exchange)}",
            "currentOffset": lambda *_: f"현재 소비된 offset은{sum(one.finished for one in stands.values())}",
            "uuidOffset/": lambda _, ticket_id: f"이 uuid의 offset은{self._office.verify(ticket_id).offset}",
            "waiting-count/": lambda _, ticket_id: self._waiting_count(ticket_id),
        }

    async def answer(self, exchange: Exchange) -> None:
        """Answers a request whose path begins with ``/monitor``; raises PlatformError: what it is answered instead."""
        name, slash, rest = exchange.path.removeprefix("/monitor/").partition("/")
        ticket_id, _, behind = rest.partition("/")
        text = self._texts.get(name + slash) if bool(ticket_id) is bool(slash) and not behind else None
        is_ticket = name == "tickets" and ticket_id and behind in ("", "events")
        if text is None and not is_ticket:
            self._tokens.user_of(exchange.headers)  # strangers are not told what there is
            raise NotFound("nothing to monitor there")
        if exchange.method not in (("GET", "DELETE") if is_ticket and not behind else ("GET",)):
            raise MethodNotAllowed
        if text is not None:
            await exchange.answer(200, [_TEXT], text(exchange, ticket_id).encode())
        else:
            await self._ticket(exchange, self.owned(exchange, ticket_id), is_stream=bool(behind))

    def owned(self, exchange: Exchange, ticket_id: str | None = None) -> Ticket:
        """The ticket, by default the cookie's, if it is theirs who ask: by bearer token, or a cookie of theirs.

        Raises LoginRequired: nobody says who they are; TicketNotFound: none, or not theirs; which, is not told.
        """
        cookie = self._cookie(exchange)
        if ticket_id is None and cookie is not None:
            return cookie
        try:
            user_id = self._tokens.user_of(exchange.headers).user_id
        except LoginRequired:  # a token may have expired while its owner waited; the cookie has not
            if cookie is None:
                raise
            user_id = cookie.user_id
        try:
            ticket = self._office.verify(ticket_id or "")
        except TicketNotFound:
            REFUSED.labels("forged").inc()
            raise
        if ticket.user_id != user_id:
            REFUSED.labels("not theirs").inc()
            raise TicketNotFound("somebody else's ticket")
        return ticket

    def _cookie(self, exchange: Exchange) -> Ticket | None:
        # Python's own parser finds none at all where another site's is not to its liking.
        found = _COOKIE.search(exchange.fields.get(b"cookie", b""))
        try:
            return found and self._office.of_cookie(found[1].decode())
        except (UnicodeDecodeError, TicketNotFound):
            REFUSED.labels("cookie").inc()
            return None

    async def _ticket(self, exchange: Exchange, ticket: Ticket, *, is_stream: bool) -> None:
        if is_stream:
            await self._stream(exchange, ticket)
            return
        status = await (self._desk.leave if exchange.method == "DELETE" else self._desk.status)(ticket)
        headers = [(b"content-type", b"application/json"), _NO_STORE]
        if not status.has_ended:
            headers.append((b"retry-after", b"%d" % status.retry_after))
        await exchange.answer(200, headers, bytes(ok_bytes(status.json()).body))

    async def _stream(self, exchange: Exchange, ticket: Ticket) -> None:
        """Server-sent events (HTML Living Standard, 9.2) until the ticket has ended, or its owner leaves.

        An event's id is how far the line had come, so that who comes back is sent only what they do not know.
        """
        last = exchange.fields.get(b"last-event-id", b"")
        if last == _ENDED:
            await exchange.respond(204, [], b"")  # which tells the browser not to come back
            return
        if not self._streams.enter():
            raise ServiceUnavailable("too many streams", retry_after_seconds=5)
        try:
            status = await self._desk.status(ticket)
            await exchange.start(200, [(b"content-type", b"text/event-stream"), _NO_STORE])
            with Watch(exchange, self._watches) as watch:
                watch.body_was_read()
                with suppress(TicketNotFound):  # forgotten meanwhile; who comes back is told so
                    await self._send_until_ended(exchange, ticket, status, last)
                await exchange.send(b"", more=False)
        finally:
            self._streams.leave()

    async def _send_until_ended(self, exchange: Exchange, ticket: Ticket, status: TicketStatus, last: bytes) -> None:
        spoken = time.monotonic()
        while True:
            event_id = _ENDED if status.has_ended else b"%b-%d" % (status.status.encode(), status.position)
            if event_id != last or time.monotonic() >= spoken + _QUIET_SECONDS:
                last, spoken = event_id, time.monotonic()
                await exchange.send(b"id: %b\ndata: %b\n\n" % (event_id, status.json()), more=True)
                await self._desk.see(ticket.ticket_id)
            if status.has_ended:
                return
            await self._line.moved.wait()  # all streams wait for one watch of the line
            # At the end of the line, not every step is worth telling; what cannot be told, is after the next look.
            with suppress(ServiceUnavailable):
                place = self._desk.place(ticket)
                if status.position - place.position > status.position // 50 or place.status == "PROCESSING":
                    status = await self._desk.status(ticket)

    def _waiting_count(self, ticket_id: str) -> str:
        with suppress(TicketNotFound):
            ticket = self._office.verify(ticket_id)
            if not self._desk.is_finished(ticket):
                return f"남은 대기자 수는: {self._desk.place(ticket).position} 명 입니다."
        return "UUID not found in the waiting queue."

    def _reset(self, exchange: Exchange) -> int:
        """There is no count to correct: what is measured anew is how many places there should be."""
        if not self._tokens.user_of(exchange.headers).is_manager:
            raise NotAuthorized
        for limit in self._limits:
            limit.restart()
        return self._in_flight()

    def _in_flight(self) -> int:
        return sum(limit.in_flight for limit in self._limits)
