"""Tickets: what a client that has to wait is given, and what becomes of it (HTTP contract, "Admission queue")."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# What the contract calls the ends of a ticket. FAILED: no business answer after all retries.
DONE, FAILED, ABANDONED = "DONE", "FAILED", "ABANDONED"
ENDS = frozenset({DONE, FAILED, ABANDONED})


@dataclass
class Ticket:
    """A place in line, as its owner holds it."""

    id: str
    number: int
    """The place: tickets of one schedule are served in this order."""
    location: str
    """Where its owner reads of it."""
    state: str = ""
    """One of ``ENDS`` once its owner has read it; empty: no outcome was read."""
    status: int = 0
    """HTTP status of the outcome; 0 without one."""
    body: str = ""
    """The outcome's envelope."""
    ended_at: float | None = None
    """When its owner, who was watching, first saw the end, in seconds since the epoch; None: nobody was watching."""
    polled: bool = False
    """Whether its owner stayed to watch it."""
    problems: list[str] | None = None
    """What was wrong with the answers about it."""

    @property
    def ended(self) -> bool:
        return bool(self.state)

    def blame(self, problem: str) -> None:
        """Remembers something that the contract forbids."""
        self.problems = [*(self.problems or []), problem]

    def read(self, status: int, text: str) -> bool:
        """Takes in what a ``GET`` on its location answered; whether it has ended. A second outcome is blamed."""
        if status >= 500 or status == 0:
            return False
        try:
            told = json.loads(text)["data"]
            state = str(told["status"])
        except (ValueError, KeyError, TypeError):
            self.blame(f"its owner was answered {status}: {text[:80]}")
            return False
        if (told.get("ticketId"), told.get("ticketNumber")) != (self.id, self.number):
            self.blame(f"its owner was told of ticket {told.get('ticketId')}, number {told.get('ticketNumber')}")
        if state not in ENDS:
            if self.ended:
                self.blame(f"was {self.state}, and {state} afterwards")
            return False
        outcome = (state, *_result(told.get("result")))
        if not self.ended:
            self.state, self.status, self.body = outcome
        elif outcome != (self.state, self.status, self.body):
            self.blame(f"ended {self.state} with {self.status}, and {state} with {outcome[1]} afterwards")
        return True


def ticket_of(header: Callable[[str], str | None]) -> Ticket | None:
    """The ticket that a 202 hands out, from its headers by name; None if they name none."""
    identity, number, location = (header(name) for name in ("X-Random-UUID", "X-Ticket-Number", "Location"))
    if not identity or not location or not number or not number.isdecimal():
        return None
    return Ticket(identity, int(number), location)


def _result(result: Any) -> tuple[int, str]:
    """Status and envelope of an outcome; the envelope is JSON, or text that is."""
    if not isinstance(result, dict):
        return 0, ""
    body = result.get("body")
    return int(result.get("httpStatus") or 0), body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
