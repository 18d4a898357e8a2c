"""Tickets: a place in the line, and whose it is.

A ticket's id says both by itself and is signed (HMAC-SHA-256, RFC 2104), so that a waiting ticket costs the gateway no
memory, and any gateway can answer for any ticket. Only the gateway and the dispatcher have the key.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from typing import NamedTuple

from common.errors import TicketNotFound

TOPIC, GROUP = "admissions", "dispatch"

# Truncated to 128 bits, as RFC 2104 (5) allows: nobody can try 2^128 ids.
_MAC_BYTES = 16


class Ticket(NamedTuple):
    """A place in the line: the ``offset`` of its record, which is the ticket's number, and whose it is."""

    ticket_id: str
    partition: int
    offset: int
    user_id: int


class TicketOffice:
    """Makes tickets and cookies, and recognises its own."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def issue(self, partition: int, offset: int, user_id: int, nonce: str) -> Ticket:
        """The ticket of the record at ``offset``; the same one whoever makes it, and however often.

        The record's ``nonce`` keeps tickets apart that had one offset, should Kafka lose its data.
        """
        place = f"{partition}.{offset}.{user_id}.{nonce}"
        return Ticket(f"{place}.{self._mac('ticket', place.encode())}", partition, offset, user_id)

    def verify(self, ticket_id: str) -> Ticket:
        """The ticket with this id; raises TicketNotFound if it is none of this platform's."""
        try:
            partition, offset, user_id, nonce, _ = ticket_id.split(".")
            ticket = self.issue(int(partition), int(offset), int(user_id), nonce)
        except ValueError as malformed:
            raise TicketNotFound("malformed") from malformed
        if not hmac.compare_digest(ticket.ticket_id.encode(), ticket_id.encode()):
            raise TicketNotFound("forged")
        return ticket

    def cookie(self, ticket: Ticket) -> str:
        """Stands for its owner's login. The id alone, which is public in addresses, makes no cookie."""
        return f"{ticket.ticket_id}.{self._mac('cookie', ticket.ticket_id.encode())}"

    def of_cookie(self, value: str) -> Ticket:
        """The ticket that a cookie was made for; raises TicketNotFound if it is none of ours."""
        ticket = self.verify(value.rpartition(".")[0])
        if not hmac.compare_digest(self.cookie(ticket).encode(), value.encode()):
            raise TicketNotFound("forged cookie")
        return ticket

    def note(self, request: tuple[object, ...]) -> str:
        """A name for the request, of which it tells nothing."""
        return self._mac("request", repr(request).encode())

    def _mac(self, purpose: str, message: bytes) -> str:
        mac = hmac.digest(self._key, b"%b\n%b" % (purpose.encode(), message), "sha256")[:_MAC_BYTES]
        return urlsafe_b64encode(mac).rstrip(b"=").decode()
