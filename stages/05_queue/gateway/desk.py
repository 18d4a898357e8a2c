"""How it stands with tickets: what the line says, and what order-service does."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp
from pydantic_core import from_json, to_json

from common.context import REQUEST_ID, current_request_id
from common.errors import ServiceUnavailable, TicketNotFound
from common.identity import Caller, IdentitySigner, Service
from common.replay_tokens import REPLAY_TOKEN, ReplaySigner
from common.together import Together
from gateway.line import Line
from gateway.notes import Notes
from gateway.settings import GatewaySettings
from gateway.tickets import Ticket
from gateway.upstream import UpstreamClient

ORDER_SERVICE = "order-service"


class OrderCalls:
    """What gateway and dispatcher ask of order-service, with a replay token, which only the two can make."""

    def __init__(self, settings: GatewaySettings, client: UpstreamClient, own_name: str, seconds: float) -> None:
        """``seconds``: for an answer."""
        self._seconds = seconds
        self._replays = ReplaySigner(settings.replay_private_key.get_secret_value())
        self._signer = IdentitySigner(settings.identity_key.get_secret_value())
        self._client = client
        self._own = Service(own_name)

    async def replay(self, items: Sequence[Mapping[str, Any]]) -> tuple[int, bytes]:
        """Hands bookings, or ends, over; raises as ``send`` does, and ServiceUnavailable for a 503."""
        status, content = await self.send(self._own, "POST", b"/bookings/batch", to_json(items))
        if status == 503:
            raise ServiceUnavailable(f"{ORDER_SERVICE}: {status}")
        return status, content

    async def end(self, ticket_id: str, user_id: int, status: str, **answer: Any) -> None:
        """Ends a ticket, unless it has ended; with the ``httpStatus`` and ``body`` of an answer, if there is one."""
        _good(await self.replay([{"ticketId": ticket_id, "userId": user_id, "end": status, **answer}]))

    async def outcomes(self, ticket_ids: list[str]) -> dict[str, dict[str, Any]]:
        """The outcomes of those of the tickets that have one."""
        content = _good(await self.send(self._own, "POST", b"/tickets", to_json(ticket_ids)))
        return {outcome["ticketId"]: outcome for outcome in from_json(content)}

    async def send(
        self, caller: Caller, method: str, target: bytes, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> tuple[int, bytes]:
        """Status and body of the answer to a request with a JSON ``body`` in the name of ``caller``.

        Raises ServiceUnavailable: order-service does not answer, or lets nobody in: no ticket is to blame.
        """
        sent = [*headers, *self._signer.headers_for(caller, method, target)]
        sent += [(b"content-type", b"application/json"), (REQUEST_ID.encode(), current_request_id().encode())]
        sent.append((REPLAY_TOKEN.encode(), self._replays.token(method, target, body).encode()))
        try:
            async with asyncio.timeout(self._seconds):
                answer = await self._client.send(ORDER_SERVICE, method, target, sent, body)
                content, status = await answer.read(), answer.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise ServiceUnavailable(f"{ORDER_SERVICE}: {type(problem).__name__}") from problem
        if status == 401 or (status == 403 and caller is self._own):
            raise ServiceUnavailable(f"{ORDER_SERVICE}: {status}")
        return status, content


def _good(answer: tuple[int, bytes]) -> bytes:
    if answer[0] != 200:
        raise ServiceUnavailable(f"{ORDER_SERVICE}: {answer[0]}")
    return answer[1]


class TicketStatus(NamedTuple):
    """What a ticket's owner is told.

    Attributes:
        position: unfinished records before it.
        eta_seconds: until it will be finished, by the measured drain rate; 0 once it is.
        result: the answer's status and content, if there was one.
    """

    ticket: Ticket
    status: str
    position: int = 0
    eta_seconds: int = 0
    result: Mapping[str, Any] | None = None

    @property
    def has_ended(self) -> bool:
        return self.status not in ("WAITING", "PROCESSING")

    @property
    def retry_after(self) -> int:
        """After half of the time that is left, so that a ticket is asked for a few times in all; 30 s at most."""
        return max(1, min(30, self.eta_seconds // 2))

    def json(self) -> bytes:
        ticket = {"ticketId": self.ticket.ticket_id, "ticketNumber": self.ticket.offset, "status": self.status}
        return to_json({**ticket, "position": self.position, "etaSeconds": self.eta_seconds, "result": self.result})


class TicketDesk:
    """Answers for tickets, from the log and from order-service."""

    def __init__(self, settings: GatewaySettings, line: Line, calls: OrderCalls, notes: Notes) -> None:
        self._window = settings.queue_window
        self._line, self._calls = line, calls
        self.see = notes.see
        self._outcomes: Together[str, dict[str, Any]] = Together(calls.outcomes)

    def place(self, ticket: Ticket) -> TicketStatus:
        """Where the ticket stands, as the line was last seen; whether it has ended is not asked."""
        stand = self._line.stand(ticket.partition)
        position = max(0, ticket.offset - stand.finished)
        status = "WAITING" if position >= self._window else "PROCESSING"
        return TicketStatus(ticket, status, position, stand.eta_seconds(position))

    def is_finished(self, ticket: Ticket) -> bool:
        """Whether the line has gone past the ticket: then it has an outcome, if it was not long ago."""
        with suppress(ServiceUnavailable):  # it has not seen the line
            return ticket.offset < self._line.stand(ticket.partition).finished
        return False

    async def status(self, ticket: Ticket) -> TicketStatus:
        """How it stands with the ticket now.

        Raises TicketNotFound: its outcome has been forgotten; ServiceUnavailable: order-service does not answer.
        """
        await self.see(ticket.ticket_id)
        # Asked before the outcome is: if the line was past it already, the outcome is there, or never will be.
        finished = self.is_finished(ticket)
        outcome = await self._outcomes.answer(ticket.ticket_id)
        if outcome is not None:
            http_status, body = outcome["httpStatus"], outcome["body"]
            result = None if http_status is None else {"httpStatus": http_status, "body": from_json(body)}
            return TicketStatus(ticket, outcome["status"], result=result)
        if finished:
            raise TicketNotFound("its outcome has been forgotten")
        return self.place(ticket)

    async def leave(self, ticket: Ticket) -> TicketStatus:
        """Leaves the line, if the ticket has not ended already; how it stands with it then. Raises as ``status``."""
        if not self.is_finished(ticket):
            await self._calls.end(ticket.ticket_id, ticket.user_id, "ABANDONED")
        return await self.status(ticket)
