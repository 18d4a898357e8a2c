"""What the provider does: checkouts, confirms, cancels, look-ups. Each function is one step of a transaction."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from payment_simulator.checkout_key import amount_of, payment_key_for
from payment_simulator.errors import Refusal, TossError
from payment_simulator.model import Cancel, Checkout, Payment, Status, transaction_key

DEFAULT_ORDER_NAME = "티켓"

_SELECT = """
SELECT c.payment_key, c.order_id, c.order_name, c.amount, c.created_ms,
       p.status, p.balance_amount, p.confirmed_ms, p.transaction_key, p.failure_code, p.failure_message
FROM checkouts c LEFT JOIN payments p USING (payment_key)
"""
_SELECT_BY_KEY = _SELECT + "WHERE c.payment_key = ?"
# Of an order's checkouts, the one that was paid, else the latest.
_SELECT_BY_ORDER = _SELECT + "WHERE c.order_id = ? ORDER BY p.transaction_key IS NULL, c.rowid DESC LIMIT 1"


@dataclass(frozen=True)
class Moment:
    """When something happens, and how long a checkout may wait for its confirm; both in milliseconds."""

    now_ms: int
    checkout_ms: int

    def expired(self, checkout: Checkout) -> bool:
        return self.now_ms - checkout.created_ms > self.checkout_ms


@dataclass(frozen=True)
class Confirm:
    payment_key: str
    order_id: str
    amount: int


def make_checkout(
    connection: sqlite3.Connection, moment: Moment, order_id: str, amount: int, order_name: str
) -> Checkout:
    """A new payment key for the order, which may have had others that were not paid.

    Raises:
        Refusal: DUPLICATED_ORDER_ID, the order is paid already.
    """
    if _is_paid(connection, order_id):
        raise Refusal(TossError.DUPLICATED_ORDER_ID)
    (number,) = connection.execute("SELECT count(*) FROM checkouts WHERE order_id = ?", (order_id,)).fetchone()
    # A key that a client made by the rule may have taken a number out of turn.
    while _find(connection, key := payment_key_for(order_id, amount, number), moment) is not None:
        number += 1
    checkout = Checkout(key, order_id, order_name, amount, moment.now_ms)
    _insert_checkout(connection, checkout)
    return checkout


def confirm(connection: sqlite3.Connection, moment: Moment, request: Confirm, decline: TossError | None) -> Payment:
    """Takes the money. With ``decline`` the card issuer refuses: the payment is ABORTED for good, and returned so.

    Raises:
        Refusal: there is no such checkout, it is not of this order or amount, or it (or its order) is paid.
    """
    known = _find(connection, request.payment_key, moment)
    if known is not None and known.status not in (Status.IN_PROGRESS, Status.EXPIRED):
        raise Refusal(TossError.ALREADY_PROCESSED_PAYMENT)
    checkout = _made_by_rule(request, moment) if known is None else known.checkout
    if checkout.order_id != request.order_id:
        raise Refusal(TossError.FORBIDDEN_REQUEST)
    if checkout.amount != request.amount:
        raise Refusal(TossError.INVALID_REQUEST)
    if moment.expired(checkout):
        raise Refusal(TossError.NOT_FOUND_PAYMENT_SESSION)
    if _is_paid(connection, request.order_id):
        raise Refusal(TossError.ALREADY_PROCESSED_PAYMENT)
    if known is None:
        _insert_checkout(connection, checkout)
    payment = _aborted(checkout, decline) if decline else _approved(checkout, moment)
    connection.execute(
        "INSERT INTO payments (payment_key, order_id, status, total_amount, balance_amount, transaction_key,"
        " confirmed_ms, failure_code, failure_message) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            checkout.payment_key, checkout.order_id, payment.status.value, checkout.amount, payment.balance,
            payment.transaction_key, moment.now_ms, payment.failure_code, payment.failure_message,
        ),
    )  # fmt: skip
    return payment


def cancel(
    connection: sqlite3.Connection, moment: Moment, payment_key: str, amount: int | None, reason: str
) -> Payment:
    """Gives ``amount`` won back, or all that is left (None).

    Raises:
        Refusal: there is no such payment, it was never approved, nothing is left, or less than ``amount`` is.
    """
    payment = find_by_key(connection, moment, payment_key)
    if payment.status is Status.CANCELED:
        raise Refusal(TossError.ALREADY_CANCELED_PAYMENT)
    if payment.status not in (Status.DONE, Status.PARTIAL_CANCELED):
        raise Refusal(TossError.NOT_CANCELABLE_PAYMENT)
    amount = payment.balance if amount is None else amount
    if amount > payment.balance:
        raise Refusal(TossError.NOT_CANCELABLE_AMOUNT)
    number = len(payment.cancels) + 1
    balance = payment.balance - amount
    made = Cancel(transaction_key(payment_key, number), amount, reason, balance, moment.now_ms)
    status = Status.PARTIAL_CANCELED if balance else Status.CANCELED
    connection.execute(
        "UPDATE payments SET status = ?, balance_amount = ? WHERE payment_key = ?", (status.value, balance, payment_key)
    )
    connection.execute(
        "INSERT INTO cancels (transaction_key, payment_key, number, amount, balance_after, reason, canceled_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (made.transaction_key, payment_key, number, amount, balance, reason, moment.now_ms),
    )
    return replace(payment, status=status, balance=balance, cancels=[*payment.cancels, made])


def find_by_key(connection: sqlite3.Connection, moment: Moment, payment_key: str) -> Payment:
    """The payment of that key, with its cancels; raises Refusal (NOT_FOUND_PAYMENT) if there is none."""
    return _with_cancels(connection, _find(connection, payment_key, moment))


def find_by_order(connection: sqlite3.Connection, moment: Moment, order_id: str) -> Payment:
    """The order's approved payment, else its latest checkout; raises Refusal (NOT_FOUND_PAYMENT) if it has none."""
    return _with_cancels(connection, _one(connection, _SELECT_BY_ORDER, order_id, moment))


def order_of(connection: sqlite3.Connection, payment_key: str) -> str:
    """The order that a payment key belongs to; empty if the key is unknown."""
    row = connection.execute("SELECT order_id FROM checkouts WHERE payment_key = ?", (payment_key,)).fetchone()
    return row[0] if row else ""


def _with_cancels(connection: sqlite3.Connection, payment: Payment | None) -> Payment:
    if payment is None:
        raise Refusal(TossError.NOT_FOUND_PAYMENT)
    rows = connection.execute(
        "SELECT transaction_key, amount, reason, balance_after, canceled_ms FROM cancels WHERE payment_key = ?"
        " ORDER BY number",
        (payment.checkout.payment_key,),
    )
    return replace(payment, cancels=[Cancel(*row) for row in rows])


def _find(connection: sqlite3.Connection, payment_key: str, moment: Moment) -> Payment | None:
    return _one(connection, _SELECT_BY_KEY, payment_key, moment)


def _one(connection: sqlite3.Connection, statement: str, value: str, moment: Moment) -> Payment | None:
    row = connection.execute(statement, (value,)).fetchone()
    if row is None:
        return None
    checkout = Checkout(*row[:5])
    status, balance, confirmed_ms, transaction, failure_code, failure_message = row[5:]
    if status is None:
        waiting = Status.EXPIRED if moment.expired(checkout) else Status.IN_PROGRESS
        return Payment(checkout, waiting, checkout.amount)
    approved_ms = None if status == Status.ABORTED else confirmed_ms
    return Payment(checkout, Status(status), balance, approved_ms, transaction, failure_code, failure_message)


def _made_by_rule(request: Confirm, moment: Moment) -> Checkout:
    """The checkout of a key that the client made itself, as of now."""
    amount = amount_of(request.payment_key, request.order_id)
    if amount is None:
        raise Refusal(TossError.NOT_FOUND_PAYMENT_SESSION)
    return Checkout(request.payment_key, request.order_id, DEFAULT_ORDER_NAME, amount, moment.now_ms)


def _approved(checkout: Checkout, moment: Moment) -> Payment:
    transaction = transaction_key(checkout.payment_key, 0)
    return Payment(checkout, Status.DONE, checkout.amount, moment.now_ms, transaction)


def _aborted(checkout: Checkout, decline: TossError) -> Payment:
    return Payment(checkout, Status.ABORTED, checkout.amount, failure_code=decline.name, failure_message=decline.korean)


def _insert_checkout(connection: sqlite3.Connection, checkout: Checkout) -> None:
    connection.execute(
        "INSERT INTO checkouts (payment_key, order_id, order_name, amount, created_ms) VALUES (?, ?, ?, ?, ?)",
        (checkout.payment_key, checkout.order_id, checkout.order_name, checkout.amount, checkout.created_ms),
    )


def _is_paid(connection: sqlite3.Connection, order_id: str) -> bool:
    statement = "SELECT 1 FROM payments WHERE order_id = ? AND status <> 'ABORTED'"
    return connection.execute(statement, (order_id,)).fetchone() is not None
