"""A rule about money that was taken: a payment is paid by its own order, to the won, and by nobody else's."""

from __future__ import annotations

from contextlib import closing

import psycopg

from payment_simulator.schema import open_for_reading
from scenarios.audits.verdicts import finding
from scenarios.model import CellState, Finding

PAID_PATH = "/order-service/payments/complete"


def acknowledged_payments_are_complete(state: CellState) -> Finding:
    """Whoever was told that a payment is complete has it, and no booking of it still waits to be paid."""
    told = {
        int(attempt.sent["orderId"].partition("_")[0])
        for attempt in state.attempts
        if attempt.path == PAID_PATH and attempt.final_status == 200
    }
    with psycopg.connect(state.database_urls["order"]) as connection:
        rows = connection.execute(
            "SELECT p.id, p.status, count(b.id) FROM payments p LEFT JOIN bookings b"
            " ON b.payment_id = p.id AND b.status = 'PENDING' GROUP BY 1, 2"
        ).fetchall()
    found = {payment: (status, unpaid) for payment, status, unpaid in rows}
    problems = []
    for payment in sorted(told):
        status, unpaid = found.get(payment, ("not there", 0))
        if status not in ("COMPLETED", "CANCELED"):
            problems.append(f"payment {payment} was acknowledged, and is {status}")
        elif unpaid:
            problems.append(f"payment {payment} is {status}, and {unpaid} of its bookings still wait for it")
    return finding("acknowledged_payments_are_complete", problems, checked=len(told))


def every_payment_is_backed(state: CellState) -> Finding:
    """Every payment that is or was paid has the money of one at the provider: of the same key, order and amount.

    The order names our payment, so that one of the provider's cannot back two of ours.
    """
    with psycopg.connect(state.database_urls["order"]) as connection:
        paid = connection.execute(
            "SELECT id, payment_key, order_id, total_price FROM payments"
            " WHERE status IN ('COMPLETED', 'CANCELED') AND payment_key IS NOT NULL ORDER BY id"
        ).fetchall()
    with closing(open_for_reading(state.ledger)) as ledger:
        approved = {
            row["payment_key"]: (row["order_id"], row["total_amount"])
            for row in ledger.execute(
                "SELECT payment_key, order_id, total_amount FROM payments WHERE status <> 'ABORTED'"
            )
        }
    problems = []
    for payment, key, order, price in paid:
        taken = approved.get(key)
        if taken != (order, price):
            what = f"{taken[1]} won for order {taken[0]}" if taken else "nothing"
            problems.append(f"payment {payment} of {price} won for order {order} is backed by {what} at the provider")
    return finding("every_payment_is_backed", problems, checked=len(paid))
