"""What order-service should do, in plain words: the contract's rules over two lists, in memory, one after the other.

The workers' part is ``work``: what happens by itself once the provider lets it. The model asks nothing of
order-service but the ids of what it has made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.contract.ordering import PRICE, Checkout

Answer = tuple[int, int]
"""HTTP status and code."""

OK: Answer = (200, 0)
FORBIDDEN: Answer = (403, 1000)
INVALID: Answer = (400, 1001)
TAKEN: Answer = (400, 4000)
NO_BOOKING: Answer = (404, 4001)
NOT_CANCELLABLE: Answer = (400, 4002)
NO_PAYMENT: Answer = (404, 4003)
SAME_SEAT_TWICE: Answer = (400, 4004)
NO_SEAT: Answer = (400, 4005)
PAYMENT_FAILED: Answer = (400, 4006)
KEY_REUSED: Answer = (409, 5001)
BUSY: Answer = (503, 5000)

ROWS, COLUMNS = 2, 4
SEATS = [f"{row} {column}" for row in range(1, ROWS + 1) for column in range(1, COLUMNS + 1)]

MANAGER = "manager"


@dataclass(eq=False)
class Payment:
    """``checkouts``: what its buyer has agreed to; ``tried``: the one that the provider has been asked to confirm."""

    id: int
    owner: str
    total: int
    status: str = "WAITING"
    checkouts: list[Checkout] = field(default_factory=list)
    tried: Checkout | None = None
    in_doubt: bool = False
    deleted: bool = False


@dataclass(eq=False)
class Booking:
    """``old``: its hold is over; ``refund_tried``: the provider has been asked for its refund."""

    id: int
    owner: str
    seat: str
    status: str = "PENDING"
    payment: Payment | None = field(default=None, repr=False)
    old: bool = False
    deleted: bool = False
    refund_tried: bool = False

    @property
    def in_doubt(self) -> bool:
        return self.payment is not None and self.payment.in_doubt


@dataclass
class Model:
    """One show of ``ROWS`` by ``COLUMNS`` seats, and the payment provider.

    Attributes:
        faults: checkout to what its order's name asks the provider for, as ``lost-``; it strikes the first attempt.
    """

    bookings: list[Booking] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    faults: dict[Checkout, str] = field(default_factory=dict)
    confirm_down: bool = False
    cancel_down: bool = False
    refunds_later: bool = False
    """Whether a cancellation is answered before the provider is asked for the refund."""

    def taken(self) -> list[str]:
        """In the order of rows and columns."""
        return sorted(booking.seat for booking in self.bookings if booking.status != "CANCELED")

    def money(self) -> int:
        """What the provider should have, in won: charged and not given back."""
        return PRICE * sum(booking.status in ("CONFIRMED", "CANCEL_REQUESTED") for booking in self.bookings)

    def of(self, payment: Payment) -> list[Booking]:
        return [booking for booking in self.bookings if booking.payment is payment]

    def book(self, seats: Sequence[str]) -> Answer:
        if not set(seats) <= set(SEATS):
            return NO_SEAT
        if len(set(seats)) < len(seats):
            return SAME_SEAT_TWICE
        return TAKEN if set(seats) & set(self.taken()) else OK

    def cancel(self, caller: str, booking: Booking) -> Answer:
        if booking.deleted:
            return NO_BOOKING
        if caller not in (booking.owner, MANAGER):
            return FORBIDDEN
        if booking.status == "CANCELED":
            return NOT_CANCELLABLE
        if booking.in_doubt:
            return BUSY
        if booking.status == "PENDING":
            self._give_up([booking])
            return OK
        booking.status = "CANCEL_REQUESTED"
        return self._refund([booking])

    def delete(self, caller: str, booking: Booking) -> Answer:
        if caller != MANAGER:
            return FORBIDDEN
        if booking.deleted:
            return NO_BOOKING
        if booking.status != "CANCELED":
            return NOT_CANCELLABLE
        booking.deleted = True
        return OK

    def pay(self, caller: str, bookings: Sequence[Booking]) -> tuple[Answer, Payment | None]:
        """The payment is one that waits already; None if a new one is due, or none."""
        if len(set(bookings)) < len(bookings):
            return INVALID, None
        if any(booking.deleted for booking in bookings):
            return NO_BOOKING, None
        if any(booking.owner != caller for booking in bookings):
            return FORBIDDEN, None
        if any(booking.status != "PENDING" for booking in bookings):
            return INVALID, None
        waiting = {one.payment for one in bookings if one.payment is not None and one.payment.status == "WAITING"}
        for payment in waiting:
            same = set(self.of(payment)) == set(bookings)
            return (OK, payment) if same else (INVALID, None)
        return OK, None

    def complete(self, caller: str, payment: Payment, checkout: Checkout, amount: int) -> Answer:
        if payment.deleted:
            return NO_PAYMENT
        if caller != payment.owner:
            return FORBIDDEN
        if amount != payment.total:
            return PAYMENT_FAILED
        if payment.in_doubt or payment.status == "COMPLETED":
            return self.outcome_of(payment) if payment.tried == checkout else PAYMENT_FAILED
        if payment.status != "WAITING":
            return PAYMENT_FAILED
        first_answer_is_none = self.confirm_down or self.faults[checkout] in ("error-", "lost-")
        payment.tried, payment.in_doubt = checkout, True
        return BUSY if first_answer_is_none else self._settle(payment)

    def outcome_of(self, payment: Payment) -> Answer:
        """To who has begun to complete a payment, and asks again."""
        if payment.in_doubt:
            return BUSY if self.confirm_down else self._settle(payment)
        return OK if payment.status == "COMPLETED" else PAYMENT_FAILED

    def cancel_payment(self, caller: str, payment: Payment) -> Answer:
        if payment.deleted:
            return NO_PAYMENT
        if caller not in (payment.owner, MANAGER):
            return FORBIDDEN
        if payment.status in ("FAILED", "CANCELED"):
            return NOT_CANCELLABLE
        if payment.in_doubt:
            return BUSY
        if payment.status == "WAITING":
            self._give_up(self.of(payment))
            return OK
        for booking in self.of(payment):
            if booking.status == "CONFIRMED":
                booking.status = "CANCEL_REQUESTED"
        return self.finish_cancelling(payment)

    def finish_cancelling(self, payment: Payment) -> Answer:
        """To who has begun to cancel a payment, and asks again."""
        return self._refund([booking for booking in self.of(payment) if booking.status == "CANCEL_REQUESTED"])

    def delete_payment(self, caller: str, payment: Payment) -> Answer:
        if caller != MANAGER:
            return FORBIDDEN
        if payment.deleted:
            return NO_PAYMENT
        if payment.status != "CANCELED":
            return NOT_CANCELLABLE
        payment.deleted = True
        return OK

    def work(self) -> bool:
        """What the workers do as soon as they can; whether there was anything."""
        doubts = [payment for payment in self.payments if payment.in_doubt and not self.confirm_down]
        for payment in doubts:
            self._settle(payment)
        due = [one for one in self.bookings if one.status == "CANCEL_REQUESTED" and not self.cancel_down]
        self._refunded(due)
        overdue = [one for one in self.bookings if one.status == "PENDING" and one.old and not one.in_doubt]
        for booking in overdue:
            self._give_up([booking])
        return bool(doubts or due or overdue)

    def _give_up(self, bookings: Iterable[Booking]) -> None:
        """What nobody has paid for; a payment that waited for it is over, and the rest of it needs another."""
        for booking in bookings:
            booking.status = "CANCELED"
        for payment in {booking.payment for booking in bookings}:
            if payment is not None and payment.status == "WAITING":
                payment.status = "CANCELED" if self._all_canceled(payment) else "FAILED"

    def _settle(self, payment: Payment) -> Answer:
        assert payment.tried is not None
        payment.in_doubt = False
        if self.faults[payment.tried] == "decline-":
            payment.status = "FAILED"
            return PAYMENT_FAILED
        payment.status = "COMPLETED"
        for booking in self.of(payment):
            booking.status = "CONFIRMED"
        return OK

    def _refund(self, bookings: Sequence[Booking]) -> Answer:
        if self.refunds_later:
            return OK
        for booking in bookings:
            assert booking.payment is not None
            assert booking.payment.tried is not None
            fault = self.faults[booking.payment.tried]
            unanswered = self.cancel_down or (fault in ("cancelerror-", "cancellost-") and not booking.refund_tried)
            booking.refund_tried = True
            if unanswered:
                return BUSY
            self._refunded([booking])
        return OK

    def _refunded(self, bookings: Iterable[Booking]) -> None:
        for booking in bookings:
            booking.status = "CANCELED"
            if booking.payment is not None and self._all_canceled(booking.payment):
                booking.payment.status = "CANCELED"

    def _all_canceled(self, payment: Payment) -> bool:
        return all(booking.status == "CANCELED" for booking in self.of(payment))
