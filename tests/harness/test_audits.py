"""Every rule of the audit, kept and broken: a rule that cannot fail would prove nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from scenarios import concert_list, seat_lookup
from scenarios.audits import bookings
from scenarios.dataset import free_seat
from scenarios.model import Answer, CellState
from scenarios.one_seat.rules import one_winner
from tests.harness.audited import SEAT, asked, book, kept, queued


def test_a_seat_sold_twice_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    book(order)
    assert kept(bookings.seat_sold_once(state))
    book(order, user=1, status="CANCELED")
    assert kept(bookings.seat_sold_once(state)), "a canceled booking holds no seat"
    book(order, user=2, status="CONFIRMED")
    broken = bookings.seat_sold_once(state)
    assert broken.violations == 1
    assert SEAT in broken.detail


def test_an_acknowledged_booking_that_is_lost_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    booking = book(order)
    told = replace(state, attempts=[asked(status=200, told=booking)])
    assert kept(bookings.acknowledged_exist(told))
    order.execute("UPDATE bookings SET price = price + 1 WHERE id = %s", [booking])
    assert bookings.acknowledged_exist(told).violations == 1
    order.execute("DELETE FROM bookings WHERE id = %s", [booking])
    assert bookings.acknowledged_exist(told).violations == 1


def test_one_booking_for_two_clients_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    booking = book(order)
    both = replace(state, attempts=[asked(status=200, told=booking), asked(status=200, told=booking)])
    assert bookings.acknowledged_exist(both).violations == 1
    other = replace(state, attempts=[asked(user=3, status=200, told=booking)])
    assert bookings.acknowledged_exist(other).violations == 1, "told to somebody who does not own it"


def test_a_booking_from_nowhere_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    assert kept(bookings.unacknowledged_are_explained(state))
    book(order)
    assert bookings.unacknowledged_are_explained(state).violations == 1
    in_the_dark = replace(state, attempts=[asked(status=0)])
    assert kept(bookings.unacknowledged_are_explained(in_the_dark))
    server_error = replace(state, attempts=[asked(status=503)])
    assert kept(bookings.unacknowledged_are_explained(server_error))
    refused = replace(state, attempts=[asked(status=400)])
    assert bookings.unacknowledged_are_explained(refused).violations == 1, "its client was told that it failed"


def test_finished_counts_what_was_committed(state: CellState, order: psycopg.Connection[Any]) -> None:
    booking = book(order)
    now = time.time()
    answered = replace(asked(status=200, told=booking), sent_at=now - 9.0, answered_at=now + 1.0)
    finished = bookings.finished_per_second(replace(state, attempts=[answered]))
    assert finished == {"finished": pytest.approx(0.1)}
    assert bookings.finished_per_second(state) == {}
    waited = queued(1, status=200, told=booking)
    assert waited.ticket is not None
    waited.sent_at, waited.answered_at, waited.ticket.ended_at = now - 9.0, now - 8.9, now + 11.0
    drained = bookings.finished_per_second(replace(state, attempts=[waited]))
    assert drained == {"finished": pytest.approx(0.05)}, "the drain is counted in"
    unseen = replace(waited, ticket=replace(waited.ticket, ended_at=None))
    committed = bookings.finished_per_second(replace(state, attempts=[unseen]))
    assert committed == {"finished": pytest.approx(1 / 9, rel=0.1)}, "until the commit, if nobody watched"


def test_commits_are_drawn_over_time(state: CellState, order: psycopg.Connection[Any]) -> None:
    for seat, second in enumerate((0.2, 0.4, 3.1, -1.0)):
        order.execute("UPDATE bookings SET created_at = to_timestamp(%s) WHERE id = %s",
                      [1_000 + second, book(order, seat=free_seat(seat))])  # fmt: skip
    course = bookings.committed_per_second(replace(state, measured_from=1_000.0))
    assert list(course.values) == [2.0, 0.0, 0.0, 1.0]


def test_the_one_seat_has_one_winner(state: CellState, order: psycopg.Connection[Any]) -> None:
    losers = [asked(user=1, status=400), asked(user=2, status=400)]
    assert not kept(one_winner(replace(state, attempts=losers))), "nobody has it, and nobody is in the dark"
    booking = book(order)
    winner = asked(status=200, told=booking)
    assert kept(one_winner(replace(state, attempts=[winner, *losers])))
    assert not kept(one_winner(replace(state, attempts=losers))), "the winner was told no"
    assert kept(one_winner(replace(state, attempts=[asked(status=0), *losers]))), "the winner's answer was lost"
    second = asked(user=1, status=200, told=booking)
    assert not kept(one_winner(replace(state, attempts=[winner, second]))), "two were told yes"
    book(order, user=4)
    assert not kept(one_winner(replace(state, attempts=[winner, *losers])))


def test_a_wrong_page_is_seen(state: CellState) -> None:
    def page(ids: list[int], total: int) -> CellState:
        body = json.dumps({"data": {"content": [{"id": number} for number in ids], "totalElements": total}})
        return replace(state, answers=[Answer("GET", "/concert-service/concerts?page=0&size=20", body)])

    assert kept(concert_list.SCENARIO.audit(page([1, 2, 3, 4], 4)).findings[0])
    assert not kept(concert_list.SCENARIO.audit(page([1, 2, 3], 4)).findings[0])
    assert not kept(concert_list.SCENARIO.audit(page([1, 2, 3, 4], 5)).findings[0])


def test_a_wrong_seat_map_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    rows = order.execute("SELECT seat_row, seat_column FROM bookings WHERE schedule_id = 1").fetchall()
    taken = [f"{row} {column}" for row, column in rows]

    def seats(listed: list[str]) -> CellState:
        body = json.dumps({"data": {"id": 1, "seatList": listed}})
        return replace(state, answers=[Answer("GET", "/concert-service/schedules/1", body)])

    assert kept(seat_lookup.SCENARIO.audit(seats(taken)).findings[0])
    assert not kept(seat_lookup.SCENARIO.audit(seats(taken[1:])).findings[0])
    assert not kept(seat_lookup.SCENARIO.audit(seats([*taken, "50 40"])).findings[0])
