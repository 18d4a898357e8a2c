"""Outcomes: what became of each ticket. The first is its only one: the primary key sees to it, whoever comes second."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import ARRAY, String, any_, bindparam, select

from common.wire import WireModel
from order.models import Ticket
from order.resources import Resources

MAX_TICKETS = 1_000  # in one question, or one replay
TICKET_ID = "0.1204.3.q3JxGm0sPzV8yQ1k.5bT0aX9rLw2cYd7eUf4hNg"

TicketId = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$"), Field(examples=[TICKET_ID])]


class OutcomeView(WireModel):
    """``DONE``: answered, be it with a refusal; ``FAILED``: not, after all attempts; ``ABANDONED``: its owner left."""

    ticket_id: TicketId
    status: Literal["DONE", "FAILED", "ABANDONED"] = Field(examples=["DONE"])
    http_status: int | None = Field(examples=[200])
    body: str | None = Field(examples=["{}"])


_BY_IDS = select(Ticket.ticket_id, Ticket.status, Ticket.http_status, Ticket.body).where(
    Ticket.ticket_id == any_(bindparam("ticket_ids", type_=ARRAY(String)))
)


async def look_up(resources: Resources, ticket_ids: Sequence[str]) -> list[OutcomeView]:
    """The outcomes of those of the tickets that have one, in no order."""
    return await resources.database.views(OutcomeView, _BY_IDS, ticket_ids=ticket_ids)
