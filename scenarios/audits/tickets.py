"""Rules about the admission queue: every ticket has one outcome that its owner can read, and the line is kept."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from common.errors import SeatAlreadyBooked
from scenarios.audits.bookings import Seat, asked, bookings_of
from scenarios.audits.verdicts import finding
from scenarios.model import ACCEPTED, Attempt, CellState, Finding
from scenarios.tickets import ABANDONED, DONE


def ticket_rules(state: CellState) -> list[Finding]:
    """The rules that hold for requests that were queued; none where nobody was told to wait."""
    if not any(attempt.status == ACCEPTED for attempt in state.attempts):
        return []
    return [every_ticket_has_one_outcome(state), seats_go_in_ticket_order(state)]


def every_ticket_has_one_outcome(state: CellState) -> Finding:
    """Whoever was told to wait has a ticket of their own, which came to one end, and read which.

    Nobody in our load leaves the line: an abandoned ticket is a lost one.
    """
    waited = [attempt for attempt in state.attempts if attempt.status == ACCEPTED]
    problems = []
    for attempt in waited:
        ticket = attempt.ticket
        if ticket is None:
            problems.append(f"{attempt.method} {attempt.path} was answered 202 without a ticket")
            continue
        name = f"ticket {ticket.number}"
        problems += [f"{name}: {problem}" for problem in ticket.problems or ()]
        if not ticket.ended:
            problems.append(f"{name} has no outcome that its owner can read")
        elif ticket.state == ABANDONED:
            problems.append(f"{name} was abandoned, and its owner had not left")
    handed_out = Counter(attempt.ticket.id for attempt in waited if attempt.ticket)
    problems += [f"ticket {name} was handed out {times} times" for name, times in handed_out.items() if times > 1]
    return finding("every_ticket_has_one_outcome", problems, checked=len(waited))


def seats_go_in_ticket_order(state: CellState) -> Finding:
    """Of those who wait for one seat, the first gets it, and nobody who came while they waited.

    A ticket that failed wanted the seat as well, and is no judge: what became of its request is not known.
    """
    wanted: defaultdict[Seat, list[Attempt]] = defaultdict(list)
    for attempt in bookings_of(state.attempts):
        for seat in asked(attempt):
            wanted[seat].append(attempt)
    problems = []
    for seat, rivals in wanted.items():
        refused = [
            one for one in rivals if one.ticket and one.ticket.state == DONE and one.code == SeatAlreadyBooked.code
        ]
        winners = [one for one in rivals if one.final_status == 200]
        problems += [f"seat {seat.row} {seat.column} of show {seat.schedule}: {what}"
                     for what in _overtaken(refused, winners)]  # fmt: skip
    return finding("seats_go_in_ticket_order", problems, checked=len(state.ticketed))


def _overtaken(refused: Iterable[Attempt], winners: Iterable[Attempt]) -> Iterator[str]:
    """A sentence for each winner that somebody who was refused had been ahead of."""
    losers = [one for one in refused if one.ticket and one.answered_at is not None]
    first = min(losers, key=lambda one: one.ticket.number if one.ticket else 0, default=None)
    earliest = min((one.answered_at for one in losers if one.answered_at is not None), default=None)
    if first is None or first.ticket is None or earliest is None:
        return
    for winner in winners:
        if winner.ticket is not None and winner.ticket.number > first.ticket.number:
            yield f"ticket {winner.ticket.number} got it, and ticket {first.ticket.number} did not"
        elif winner.ticket is None and winner.sent_at > earliest:
            yield "somebody who came later got it without waiting"
