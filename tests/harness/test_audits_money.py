"""Of payments and refunds: the rules of the audit, kept and broken."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from scenarios import concert_list
from scenarios.audits import bookings, refunds
from scenarios.audits.payments import PAID_PATH, acknowledged_payments_are_complete, every_payment_is_backed
from scenarios.dataset import booking_owners
from scenarios.model import Attempt, CellState
from tests.harness.audited import PRICE, SMALL, kept


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
