"""Of those who waited: the rules of the audit, kept and broken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import psycopg

from scenarios.audits import bookings
from scenarios.audits.tickets import every_ticket_has_one_outcome, seats_go_in_ticket_order, ticket_rules
from scenarios.dataset import free_seat
from scenarios.model import Attempt, CellState, Finding
from scenarios.one_seat.rules import one_winner
from scenarios.tickets import ABANDONED, DONE, FAILED
from tests.harness.audited import asked, book, kept, queued


def test_a_ticket_counts_by_its_outcome(state: CellState, order: psycopg.Connection[Any]) -> None:
    booking = book(order)
    winner = queued(1, status=200, told=booking)
    told = replace(state, attempts=[winner, queued(2, user=1)])
    assert kept(bookings.acknowledged_exist(told))
    assert kept(bookings.unacknowledged_are_explained(told))
    assert kept(one_winner(told))
    assert not kept(bookings.acknowledged_exist(replace(state, attempts=[replace(winner, user=3)])))
    waiting = replace(state, attempts=[queued(1, state="", status=0)])
    assert kept(bookings.unacknowledged_are_explained(waiting)), "its client does not know yet"
    assert not kept(bookings.unacknowledged_are_explained(replace(state, attempts=[queued(1)]))), "it was told no"


def test_where_nobody_waits_no_rule_speaks_of_it(state: CellState) -> None:
    assert ticket_rules(replace(state, attempts=[asked(status=200), asked(status=0)])) == []
    assert len(ticket_rules(replace(state, attempts=[queued(1)]))) == 2


def test_a_ticket_without_an_outcome_is_seen(state: CellState) -> None:
    def rule(*attempts: Attempt) -> Finding:
        return every_ticket_has_one_outcome(replace(state, attempts=attempts))

    assert kept(rule(queued(1), queued(2, state=FAILED, status=0)))
    assert rule(queued(1), queued(2, state="", status=0)).violations == 1
    assert rule(queued(1, state=ABANDONED, status=0)).violations == 1, "nobody had left"
    assert rule(replace(queued(1), ticket=None)).violations == 1, "told to wait, and given no ticket"
    assert rule(queued(1), queued(1, user=2)).violations == 1, "one ticket for two requests"


def test_a_second_outcome_is_seen(state: CellState) -> None:
    def reading(status: str = DONE, http: int = 200, number: int = 7, name: str = "t7") -> str:
        result = {"httpStatus": http, "body": {"code": 0, "data": []}}
        return json.dumps(
            {"data": {"ticketId": name, "ticketNumber": number, "status": status, "position": 0, "result": result}}
        )

    def after(*readings: tuple[int, str]) -> int:
        attempt = queued(7, state="", status=0)
        assert attempt.ticket is not None
        for status, text in readings:
            attempt.ticket.read(status, text)
        return every_ticket_has_one_outcome(replace(state, attempts=[attempt])).violations

    waiting = (200, reading("WAITING"))
    assert after(waiting, (503, "{}"), (200, reading()), (200, reading())) == 0
    assert after((200, reading()), (200, reading(http=400))) == 1, "yes, and then no"
    assert after((200, reading()), waiting) == 1, "an end that was none"
    assert after((200, reading(number=8))) == 1, "somebody else's"
    assert after((200, reading(name="t8"))) == 1
    assert after((404, '{"code": 5003, "data": {}}'), (200, reading())) == 1, "its owner was not let in"
    assert after(waiting) == 1


def test_a_line_that_is_not_kept_is_seen(state: CellState) -> None:
    def rule(*attempts: Attempt) -> int:
        return seats_go_in_ticket_order(replace(state, attempts=attempts)).violations

    won = queued(2, status=200, told=1)
    assert rule(won, queued(3), queued(4)) == 0
    assert rule(queued(1, state=FAILED, status=0), won) == 0, "what became of it is not known"
    assert rule(queued(1, seat=free_seat(1)), won) == 0, "it wanted another seat"
    assert rule(queued(1), won) == 1
    newcomer = replace(asked(user=5, status=200, told=1), sent_at=9.0)
    assert rule(queued(3), newcomer) == 1, "who came while somebody waited goes to the end"
    assert rule(queued(3), replace(newcomer, sent_at=2.0)) == 0, "the queue had not begun when it came"
