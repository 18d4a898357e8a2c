"""What became of somebody's money: order-service's word and the provider's, side by side."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass

import psycopg
from psycopg.rows import dict_row

from payment_simulator.schema import open_for_reading
from scenarios.model import CellState
from tests.faults.payers import Purchase
from tests.polling import until

_SETTLED_SECONDS = 40.0

_STATUS = """
    SELECT b.status AS booking, p.status AS payment, extract(epoch FROM p.updated_at)::float AS settled_at,
           p.confirm_due_at IS NOT NULL OR b.status = 'CANCEL_REQUESTED' AS under_way
    FROM bookings b JOIN payments p ON p.id = b.payment_id
    WHERE b.id = %s AND p.id = %s
"""
_TAKEN = """
    SELECT total_amount, confirmed_ms FROM payments
    WHERE status <> 'ABORTED' AND (payment_key = ? OR order_id LIKE ? || '\\_%' ESCAPE '\\')
"""
_GIVEN_BACK = "SELECT coalesce(sum(amount), 0) AS won FROM cancels WHERE payment_key = ?"


@dataclass(frozen=True)
class Outcome:
    """The end of a purchase. Moments in seconds since the epoch."""

    purchase: Purchase
    booking: str
    payment: str
    settled_at: float
    """When order-service committed it."""
    taken: list[int]
    """What the provider took for this payment, under whatever checkout, in won."""
    taken_at: float
    given_back: int

    @property
    def is_right(self) -> bool:
        """Paid for once, and kept; or given up, and no money kept for it; or not begun, and still to be paid for."""
        if self.is_paid:
            return self.taken == [self.purchase.amount] and self.given_back == 0
        if (self.booking, self.payment) == ("PENDING", "WAITING"):
            return self.taken == []
        return self.booking == "CANCELED" and sum(self.taken) == self.given_back

    @property
    def is_paid(self) -> bool:
        return (self.booking, self.payment) == ("CONFIRMED", "COMPLETED")


def outcomes(state: CellState, purchases: Iterable[Purchase]) -> list[Outcome]:
    """What each purchase has come to, once nobody is at work on it any more.

    Raises:
        AssertionError: somebody still is, long after the load.
    """
    with (
        psycopg.connect(state.database_urls["order"], autocommit=True, row_factory=dict_row) as database,
        closing(open_for_reading(state.ledger)) as ledger,
    ):

        def outcome(purchase: Purchase) -> Outcome:
            def row() -> dict[str, object]:
                (found,) = database.execute(_STATUS, [purchase.booking_id, purchase.payment_id]).fetchall()
                return found

            assert until(lambda: not row()["under_way"], _SETTLED_SECONDS), f"nobody settled {row()}"
            taken = ledger.execute(_TAKEN, [purchase.payment_key, str(purchase.payment_id)]).fetchall()
            (given_back,) = ledger.execute(_GIVEN_BACK, [purchase.payment_key]).fetchone()
            end = row()
            return Outcome(
                purchase,
                booking=str(end["booking"]),
                payment=str(end["payment"]),
                settled_at=float(str(end["settled_at"])),
                taken=[amount for amount, _ in taken],
                taken_at=min((at / 1000 for _, at in taken), default=0.0),
                given_back=given_back,
            )

        return [outcome(purchase) for purchase in purchases]
