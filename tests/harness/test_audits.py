"""Every rule of the audit, kept and broken: a rule that cannot fail would prove nothing."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest

from common.errors import SeatAlreadyBooked
from harness.launch.environment import DATABASES
from harness.provision import Infrastructure, create_database
from harness.stages.manifest import REPOSITORY, STAGES_ROOT, discover_stages
from payment_simulator.schema import open_for_writing
from scenarios import concert_list, seat_lookup
from scenarios.audits import bookings, refunds
from scenarios.audits.payments import PAID_PATH, acknowledged_payments_are_complete, every_payment_is_backed
from scenarios.audits.tickets import every_ticket_has_one_outcome, seats_go_in_ticket_order, ticket_rules
from scenarios.dataset import DATASETS, booking_owners, free_seat, prices, seed_databases, seed_ledger
from scenarios.model import Answer, Attempt, CellState, Finding
from scenarios.one_seat.rules import one_winner
from scenarios.tickets import ABANDONED, DONE, FAILED, Ticket

SMALL = replace(DATASETS["default"], concerts=4, buyers=10, today=date(2026, 11, 1))
SHOW, SEAT = 1, free_seat(0)
PRICE = prices(SMALL)[1]


@pytest.fixture(scope="module")
def urls(infrastructure: Infrastructure) -> dict[str, str]:
    """The databases of the first stage, migrated; the rules read columns that every stage has."""
    made = {package: create_database(infrastructure, f"audit_{name}") for package, name in DATABASES.items()}
    stage = discover_stages(STAGES_ROOT)[0]
    program = (
        "import sys; from common.migrations import upgrade\nfor pair in sys.argv[1:]: upgrade(*pair.split('=', 1))"
    )
    subprocess.run(
        [sys.executable, "-c", program, *(f"{package}={url}" for package, url in made.items())],
        env={**os.environ, "PYTHONPATH": f"{stage.folder}{os.pathsep}{REPOSITORY}"},
        check=True,
        capture_output=True,
    )
    return made


@pytest.fixture
def state(urls: dict[str, str], tmp_path: Path) -> CellState:
    """A seeded platform after a load in which nothing happened."""
    ledger = tmp_path / "ledger.sqlite3"
    open_for_writing(ledger).close()
    seed_databases(urls, SMALL, "hash")
    seed_ledger(ledger, SMALL)
    return CellState(urls, SMALL, "http://127.0.0.1:1", tokens=["token"] * SMALL.buyers, ledger=ledger)


@pytest.fixture
def order(urls: dict[str, str], state: CellState) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(urls["order"], autocommit=True) as connection:
        yield connection


def book(order: psycopg.Connection[Any], user: int = 0, seat: str = SEAT, status: str = "PENDING") -> int:
    """A booking made behind the audit's back."""
    row, column = seat.split()
    made = order.execute(
        "INSERT INTO bookings (user_id, concert_id, schedule_id, price, status, seat_row, seat_column)"
        " VALUES (%s, 1, %s, %s, %s, %s, %s) RETURNING id",
        [SMALL.load_users[user].user_id, SHOW, PRICE, status, row, column],
    ).fetchone()
    assert made is not None
    return int(made[0])


def asked(user: int = 0, seat: str = SEAT, status: int = 0, told: int | None = None, key: str = "") -> Attempt:
    """What a client remembers of asking for a seat; ``told`` is the booking that it was told of."""
    body = {"code": 0, "message": "", "data": []}
    if told is not None:
        body["data"] = [{"id": told, "scheduleId": SHOW, "price": PRICE, "seat": seat}]
    sent = {"scheduleId": SHOW, "seat": [seat]}
    text = json.dumps(body) if status else ""
    return Attempt("POST", bookings.BOOKINGS_PATH, user, key, sent, 1.0, status, text, 2.0 if status else None)


def queued(
    number: int, user: int = 0, seat: str = SEAT, *, state: str = DONE, status: int = 400, told: int | None = None
) -> Attempt:
    """A request that was told to wait, at second ``number``, and what its ticket came to."""
    direct = asked(user, seat, status, told)
    refusal = json.dumps({"code": SeatAlreadyBooked.code, "message": "", "data": {}})
    body = direct.body if told is not None else refusal
    ticket = Ticket(f"t{number}", number, f"/monitor/tickets/t{number}", state, status, body)
    at = float(number)
    return replace(direct, sent_at=at, status=202, body="{}", answered_at=at + 0.5, ticket=ticket)


def kept(finding: Finding) -> bool:
    return finding.violations == 0


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


def canceled(booking: int, status: int = 200) -> Attempt:
    path = f"{refunds.CANCEL_PREFIX}{booking}"
    owner = booking_owners(SMALL)[booking - 1]
    return Attempt("PATCH", path, owner, "", None, 1.7e9, status, '{"code": 0, "message": "", "data": {}}', 1.7e9 + 1)


def refund(state: CellState, order: psycopg.Connection[Any], booking: int, amount: int | None = None) -> None:
    """A refund in the provider's ledger, at a second after the request."""
    row = order.execute(
        "SELECT p.payment_key, b.price FROM bookings b JOIN payments p ON p.id = b.payment_id WHERE b.id = %s",
        [booking],
    ).fetchone()
    assert row is not None
    key, price = row
    with sqlite3.connect(state.ledger) as ledger:
        (number,) = ledger.execute("SELECT count(*) + 1 FROM cancels WHERE payment_key = ?", [key]).fetchone()
        ledger.execute(
            "INSERT INTO cancels (transaction_key, payment_key, number, amount, balance_after, reason, canceled_ms)"
            " VALUES (?, ?, ?, ?, 0, 'test', ?)",
            [f"{key}-{number}", key, number, amount or price, int((1.7e9 + 1) * 1000)],
        )
    ledger.close()


def set_status(order: psycopg.Connection[Any], booking: int, status: str) -> None:
    order.execute("UPDATE bookings SET status = %s WHERE id = %s", [status, booking])


def violations(state: CellState) -> dict[str, int]:
    return {found.rule: found.violations for found in refunds.canceled_and_refunded_once(state)}


KEPT = {"accepted_cancellations_end_canceled": 0, "refunded_exactly_once": 0, "nothing_else_refunded": 0}


def test_a_cancellation_with_its_refund_is_right(state: CellState, order: psycopg.Connection[Any]) -> None:
    set_status(order, 1, "CANCELED")
    refund(state, order, 1)
    after = replace(state, attempts=[canceled(1)])
    assert violations(after) == KEPT
    assert refunds.refund_done_ms(after) == {"refund_done_ms": pytest.approx(1000.0)}


def test_the_backlog_is_what_was_accepted_and_not_refunded(state: CellState, order: psycopg.Connection[Any]) -> None:
    """Accepted a tenth of a second after it was asked for; the one is refunded at 1 s, the other never."""
    for booking in (1, 2):
        order.execute(
            "INSERT INTO refunds (payment_id, booking_id, amount, idempotency_key, created_at)"
            " VALUES (%s, %s, 1, %s, to_timestamp(%s))",
            [booking, booking, f"key{booking}", 1.7e9 + 0.1],
        )
    refund(state, order, 1)
    attempts = [replace(canceled(1), answered_at=1.7e9 + 0.2), replace(canceled(2), answered_at=1.7e9 + 0.4)]
    answer, wait, backlog = refunds.refund_courses(replace(state, attempts=attempts, measured_from=1.7e9))
    assert list(answer.values) == [pytest.approx(300.0)]
    assert list(wait.values) == [pytest.approx(1000.0)]
    assert list(backlog.values) == [2.0, 1.0, 1.0]
    assert answer.with_provider
    assert not backlog.with_provider


def test_a_cancellation_that_was_forgotten_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    set_status(order, 2, "CANCELED")
    refund(state, order, 2)
    after = replace(state, attempts=[canceled(1), canceled(2)])
    assert violations(after) == {**KEPT, "accepted_cancellations_end_canceled": 1}


def test_a_canceled_booking_that_is_gone_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    order.execute("DELETE FROM bookings WHERE id = 1")
    after = replace(state, attempts=[canceled(1)])
    assert violations(after)["accepted_cancellations_end_canceled"] == 1
    assert refunds.refund_done_ms(after) == {}


def test_a_missing_refund_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    set_status(order, 1, "CANCELED")
    assert violations(replace(state, attempts=[canceled(1)])) == {**KEPT, "refunded_exactly_once": 1}


@pytest.mark.parametrize("amounts", [(None, None), (1,), (PRICE * 2,)])
def test_a_wrong_refund_is_seen(
    state: CellState, order: psycopg.Connection[Any], amounts: tuple[int | None, ...]
) -> None:
    set_status(order, 1, "CANCELED")
    for amount in amounts:
        refund(state, order, 1, amount)
    assert violations(replace(state, attempts=[canceled(1)])) == {**KEPT, "refunded_exactly_once": 1}


def test_a_refund_for_a_seat_that_is_kept_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    set_status(order, 1, "CANCELED")
    refund(state, order, 1)
    refund(state, order, 3)
    assert violations(replace(state, attempts=[canceled(1)])) == {**KEPT, "nothing_else_refunded": 1}


def test_a_payment_that_canceled_is_still_backed(state: CellState, order: psycopg.Connection[Any]) -> None:
    assert kept(every_payment_is_backed(state))
    order.execute("UPDATE payments SET status = 'CANCELED' WHERE id = 1")
    order.execute("UPDATE payments SET status = 'FAILED', payment_key = 'refused' WHERE id = 2")
    order.execute("UPDATE payments SET status = 'WAITING', payment_key = NULL WHERE id = 3")
    assert kept(every_payment_is_backed(state))


@pytest.mark.parametrize("status", ["COMPLETED", "CANCELED"])
@pytest.mark.parametrize(
    "change", ["payment_key = 'unknown'", "order_id = '4_other'", "total_price = total_price * 10"], ids=lambda c: c[:8]
)
def test_a_payment_that_the_provider_knows_otherwise_is_seen(
    status: str, change: str, state: CellState, order: psycopg.Connection[Any]
) -> None:
    order.execute(f"UPDATE payments SET {change}, status = %s WHERE id = 4".encode(), [status])
    broken = every_payment_is_backed(state)
    assert broken.violations == 1
    assert "payment 4 " in broken.detail


def test_a_payment_that_was_declined_backs_nothing(state: CellState) -> None:
    with sqlite3.connect(state.ledger) as ledger:
        ledger.execute(
            "UPDATE payments SET status = 'ABORTED', transaction_key = NULL, failure_code = 'X'"
            " WHERE payment_key = (SELECT min(payment_key) FROM payments)"
        )
    ledger.close()
    assert every_payment_is_backed(state).violations == 1


def test_an_acknowledged_payment_that_is_not_complete_is_seen(state: CellState, order: psycopg.Connection[Any]) -> None:
    told = Attempt("PATCH", PAID_PATH, 0, "", {"orderId": "4_visit"}, 1.0, 200, '{"code": 0, "data": {}}', 2.0)
    after = replace(state, attempts=[told])
    assert kept(acknowledged_payments_are_complete(after))
    order.execute("UPDATE bookings SET status = 'PENDING' WHERE payment_id = 4")
    assert acknowledged_payments_are_complete(after).violations == 1
    order.execute("UPDATE payments SET status = 'WAITING' WHERE id = 4")
    assert acknowledged_payments_are_complete(after).violations == 1
    gone = replace(told, sent={"orderId": "999999_visit"})
    assert acknowledged_payments_are_complete(replace(state, attempts=[gone])).violations == 1
    assert acknowledged_payments_are_complete(state).violations == 1, "nothing was there to check"


def test_an_audit_that_had_nothing_to_check_is_broken(state: CellState, order: psycopg.Connection[Any]) -> None:
    assert violations(state)["accepted_cancellations_end_canceled"] == 1
    assert bookings.acknowledged_exist(state).violations == 1
    order.execute("UPDATE payments SET status = 'FAILED'")
    assert every_payment_is_backed(state).violations == 1
    assert concert_list.SCENARIO.audit(state).findings[0].violations == 1


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
