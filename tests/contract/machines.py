"""The booking and the payment state machine: what they do to a running stage, and to the model beside it.

Every answer's code must be the model's, and after every step the database, the seats that can be looked up, and the
provider's ledger must agree with it. Each example has a show and people of its own, on one stage for all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import Any, ClassVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from common.identity import Role
from payment_simulator.schema import open_for_reading
from tests.contract.client import Api, outcome
from tests.contract.machine_model import (
    BUSY,
    COLUMNS,
    FORBIDDEN,
    KEY_REUSED,
    MANAGER,
    NO_BOOKING,
    OK,
    ROWS,
    Answer,
    Booking,
    Model,
)  # fmt: skip
from tests.contract.making import SEATS, Maker
from tests.contract.ordering import BOOKINGS, PRICE, Shop
from tests.polling import until

BUYERS = ["ann", "bob"]

buyers = st.sampled_from(BUYERS)
callers = st.sampled_from([*BUYERS, MANAGER])

# The worker's next turn comes at once, however long it would wait after so many failures.
_NUDGE_PAYMENTS = """
    UPDATE payments SET confirm_due_at = now() WHERE schedule_id = %s AND confirm_due_at IS NOT NULL RETURNING id
"""
_NUDGE_REFUNDS = """
    UPDATE refunds SET due_at = now() FROM payments
    WHERE payments.id = refunds.payment_id AND schedule_id = %s AND refunds.status = 'REQUESTED' RETURNING refunds.id
"""
_MONEY = """
    SELECT (SELECT coalesce(sum(total_amount), 0) FROM payments WHERE status <> 'ABORTED' AND payment_key IN ({keys}))
         - (SELECT coalesce(sum(amount), 0) FROM cancels WHERE payment_key IN ({keys}))
"""


def _nothing_begun() -> Answer:
    raise AssertionError("such a request is answered in one transaction")


@dataclass(frozen=True)
class Request:
    """What somebody asks for.

    Attributes:
        judge: the model's answer, if it is asked for now.
        resume: the model's answer to who has begun it under ``key``, and got no answer yet.
        begun: whether it has been accepted, though its answer is BUSY.
    """

    caller: str
    method: str
    path: str
    body: Any
    key: str
    judge: Callable[[], Answer] = field(compare=False, repr=False)
    resume: Callable[[], Answer] = field(default=_nothing_begun, compare=False, repr=False)
    begun: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)


@dataclass
class Kept:
    """What is remembered of an idempotency key; no answer while what it began has not ended."""

    request: Request
    answer: httpx.Response | None


def make_show(make: Maker) -> Callable[[], Any]:
    """Makes one schedule after the other, in a venue of the model's size."""
    concert, venue = make.concert(price=PRICE), make.venue(row=ROWS, col=COLUMNS)
    return lambda: make.schedule(concert, venue)


class OrderMachine(RuleBasedStateMachine):
    """What both machines have. A subclass names the ``shop`` and how a new show is made."""

    bookings: Bundle[Booking] = Bundle("bookings")
    requests: Bundle[Request] = Bundle("requests")

    shop: ClassVar[Shop]
    new_show: ClassVar[Callable[[], Any]]
    keys = count(1)

    def __init__(self) -> None:
        super().__init__()
        make = self.shop.make
        self.schedule = type(self).new_show()
        self.people: dict[str, Api] = {name: make.person() for name in BUYERS} | {MANAGER: make.person(Role.MANAGER)}
        self.model = Model(refunds_later=self.shop.refunds_later)
        self.kept: dict[tuple[str, str], Kept] = {}
        self.agreed = False

    def new_key(self) -> str:
        return f"machine-{next(self.keys)}"

    @rule(caller=callers, booking=bookings)
    def cancel(self, caller: str, booking: Booking) -> None:
        path = f"{BOOKINGS}/cancel/{booking.id}"
        self.ask(Request(caller, "PATCH", path, None, "", lambda: self.model.cancel(caller, booking)))
        self.let_work()

    @rule(booking=bookings)
    def its_hold_ends(self, booking: Booking) -> None:
        self.agreed = False
        booking.old = True
        self.shop.age([booking.id])
        self.let_work()

    @rule(caller=callers, booking=bookings)
    def look_at(self, caller: str, booking: Booking) -> None:
        answer = self.people[caller].send("GET", f"{BOOKINGS}/{booking.id}")
        mine = caller in (booking.owner, MANAGER)
        assert outcome(answer) == (NO_BOOKING if booking.deleted else OK if mine else FORBIDDEN)
        if outcome(answer) == OK:
            shown = json.loads(answer.content)["data"]
            payment = booking.payment.id if booking.payment else None
            assert (shown["status"], shown["seat"], shown["paymentId"]) == (booking.status, booking.seat, payment)

    @rule(request=requests)
    def repeat(self, request: Request) -> None:
        self.ask(request)
        self.let_work()

    def seats_request(self, buyer: str, seats: Sequence[str], key: str = "", **changes: Any) -> Request:
        body = {
            "scheduleId": self.schedule["id"], "userId": self.people[buyer].user_id, "price": PRICE,
            "seat": list(seats), **changes,
        }  # fmt: skip
        return Request(buyer, "POST", BOOKINGS, body, key, lambda: self.model.book(seats))

    def book_by(self, request: Request) -> list[Booking]:
        """The new bookings, none if they are refused."""
        answer = self.ask(request)
        if outcome(answer) != OK:
            return []
        new = [Booking(one["id"], request.caller, one["seat"]) for one in json.loads(answer.content)["data"]]
        self.model.bookings += new
        return new

    def ask(self, request: Request) -> httpx.Response:
        """The answer, which must be the model's; under a key that was answered before, it must be that answer."""
        self.agreed = False
        kept = self.kept.get((request.caller, request.key)) if request.key else None
        if kept is None:
            expected = request.judge()
        elif kept.request != request:
            expected = KEY_REUSED
        elif kept.answer is not None:
            expected = outcome(kept.answer)
        else:
            expected = kept.request.resume()
        answer = self.send(request)
        assert outcome(answer) == expected, (request, answer.text)
        if expected == BUSY:
            assert int(answer.headers["retry-after"]) >= 1
        if request.key and expected != KEY_REUSED:
            self._keep(request, kept, answer, expected)
        return answer

    def _keep(self, request: Request, kept: Kept | None, answer: httpx.Response, expected: Answer) -> None:
        ended = None if expected == BUSY else answer
        if kept is None:
            if ended is not None or request.begun():
                self.kept[request.caller, request.key] = Kept(request, ended)
        elif kept.answer is None:
            kept.answer = ended
        else:
            assert answer.content == kept.answer.content

    def send(self, request: Request) -> httpx.Response:
        headers = {"Idempotency-Key": request.key} if request.key else {}
        content = {} if request.body is None else {"json": request.body}
        return self.people[request.caller].send(request.method, request.path, headers=headers, **content)

    def let_work(self) -> None:
        """The workers come to do what the model says they can."""
        if not self.model.work():
            return
        for _ in range(20):
            for nudge in (_NUDGE_PAYMENTS, _NUDGE_REFUNDS):
                self.shop.make.rows("order", nudge, self.schedule["id"])
            if until(lambda: self.stored() == self.modelled(), 0.5):
                return

    def stored(self) -> tuple[list[Any], list[Any]]:
        """The bookings and the payments of the show, as the database has them."""
        make, show = self.shop.make, self.schedule["id"]
        bookings = make.rows(
            "order", "SELECT id, seat_row || ' ' || seat_column AS seat, status, payment_id, is_deleted"
            " FROM bookings WHERE schedule_id = %s ORDER BY id", show,
        )  # fmt: skip
        payments = make.rows(
            "order", "SELECT id, total_price, status, confirm_due_at IS NOT NULL AS in_doubt, is_deleted"
            " FROM payments WHERE schedule_id = %s ORDER BY id", show,
        )  # fmt: skip
        return [tuple(row.values()) for row in bookings], [tuple(row.values()) for row in payments]

    def modelled(self) -> tuple[list[Any], list[Any]]:
        """The same, as the model has them."""
        # All seats of one request are inserted by one statement, in no order that anybody promises.
        bookings = sorted(
            (one.id, one.seat, one.status, one.payment.id if one.payment else None, one.deleted)
            for one in self.model.bookings
        )
        payments = [(one.id, one.total, one.status, one.in_doubt, one.deleted) for one in self.model.payments]
        return bookings, payments

    def money(self) -> int:
        """What the provider has of this show, in won: charged and not given back."""
        keys = [checkout.payment_key for checkout in self.model.faults]
        query = _MONEY.format(keys=", ".join("?" * len(keys)))
        with closing(open_for_reading(self.shop.platform.ledger)) as ledger:
            (amount,) = ledger.execute(query, keys * 2).fetchone()
        return int(amount)

    @invariant()
    def all_agree(self) -> None:
        assert self.stored() == self.modelled()
        # A seat with two active bookings would be here twice.
        assert self.people["bob"].get(f"{SEATS}/{self.schedule['id']}") == self.model.taken()
        assert self.money() == self.model.money()
        self.agreed = True

    def teardown(self) -> None:
        """Once the provider is well, nothing is half done: what it has is the price of what is CONFIRMED."""
        if self.model.confirm_down or self.model.cancel_down:
            self.model.confirm_down = self.model.cancel_down = False
            self.shop.switch(latencyMedianMs=0)
        if not self.agreed:
            return  # a step has failed, and that is what is to be reported
        self.let_work()
        self.all_agree()
        statuses = [one.status for one in self.model.bookings]
        assert "CANCEL_REQUESTED" not in statuses
        assert self.money() == PRICE * statuses.count("CONFIRMED")
