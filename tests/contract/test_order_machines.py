"""Random sequences of requests by several people, against a model of the contract.

``FORTICKETS_EXAMPLES=10`` tries ten times as many sequences, others every time, and makes one that fails as short as it
can be.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, initialize, multiple, rule
from hypothesis.stateful import run_state_machine_as_test as run_machine

from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests.contract.conftest import HASTY
from tests.contract.machine_model import (
    FORBIDDEN,
    INVALID,
    OK,
    SEATS,
    Answer,
    Booking,
    Payment,
)  # fmt: skip
from tests.contract.machines import OrderMachine, Request, buyers, callers, make_show
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Checkout, Shop
from tests.contract.second_order import second_order

FACTOR = int(os.environ.get("FORTICKETS_EXAMPLES", "1"))

free_or_taken = st.lists(st.sampled_from(SEATS), min_size=1, max_size=3, unique=True)
no_seats = st.sampled_from(
    ["0 0", "0 1", "1 0", "1", "11 1", "1 1 1", "3 1", "1 5", "1 999999999", " 1 1", "1  1", "01 1", "-1 1", "1 x", ""]
)
one_of_them_none = st.tuples(free_or_taken, no_seats).map(lambda both: [*both[0], both[1]])
one_of_them_twice = free_or_taken.map(lambda seats: [*seats, seats[0]])
seats_of_all_kinds = st.one_of(free_or_taken, free_or_taken, free_or_taken, one_of_them_none, one_of_them_twice)
WRONG: list[tuple[dict[str, Any], Answer]] = [
    ({"price": PRICE - 1}, INVALID),
    ({"seat": []}, INVALID),
    ({"seat": [f"1 {number}" for number in range(1, 12)]}, INVALID),
    ({"seat": None}, INVALID),
    ({"userId": 1}, FORBIDDEN),
    ({"scheduleId": 999_999_999}, (404, 3000)),
]
# A lost answer is waited for as long as the provider may take: a second.
faults = st.sampled_from([*[""] * 6, *["decline-", "error-", "cancelerror-"] * 2, "lost-", "cancellost-"])


class BookingMachine(OrderMachine):
    """Holding seats, and giving them up."""

    bookings = OrderMachine.bookings
    requests = OrderMachine.requests

    @rule(target=bookings, buyer=buyers, seats=seats_of_all_kinds)
    def book(self, buyer: str, seats: list[str]) -> MultipleResults[Booking]:
        return multiple(*self.book_by(self.seats_request(buyer, seats)))

    @rule(target=requests, buyer=buyers, seats=seats_of_all_kinds)
    def book_under_a_key(self, buyer: str, seats: list[str]) -> Request:
        request = self.seats_request(buyer, seats, self.new_key())
        self.book_by(request)
        return request

    @rule(caller=callers, seats=free_or_taken, wrong=st.sampled_from(WRONG))
    def book_wrongly(self, caller: str, seats: list[str], wrong: tuple[dict[str, Any], Answer]) -> None:
        change, expected = wrong
        self.ask(replace(self.seats_request(caller, seats, **change), judge=lambda: expected))

    @rule(request=requests, seats=free_or_taken)
    def use_its_key_for_something_else(self, request: Request, seats: list[str]) -> None:
        other = self.seats_request(request.caller, seats, request.key)
        if other != request:
            self.book_by(other)

    @rule(caller=callers, booking=bookings)
    def delete(self, caller: str, booking: Booking) -> None:
        path = f"{BOOKINGS}/{booking.id}"
        self.ask(Request(caller, "DELETE", path, None, "", lambda: self.model.delete(caller, booking)))


class PaymentMachine(OrderMachine):
    """Paying for seats, and getting the money back."""

    bookings = OrderMachine.bookings
    requests = OrderMachine.requests
    payments: Bundle[Payment] = Bundle("payments")

    @initialize(target=bookings)
    def some_bookings(self) -> MultipleResults[Booking]:
        ann = self.book_by(self.seats_request("ann", SEATS[:3]))
        return multiple(*ann, *self.book_by(self.seats_request("bob", SEATS[3:5])))

    @rule(target=bookings, buyer=buyers, seats=free_or_taken)
    def book(self, buyer: str, seats: list[str]) -> MultipleResults[Booking]:
        return multiple(*self.book_by(self.seats_request(buyer, seats)))

    @rule(target=payments, caller=callers, bookings=st.lists(bookings, min_size=1, max_size=3))
    def pay_for_anything(self, caller: str, bookings: list[Booking]) -> MultipleResults[Payment]:
        return multiple(*self._pay(caller, bookings))

    @rule(target=payments, buyer=buyers, data=st.data())
    def pay_for_own(self, buyer: str, data: st.DataObject) -> MultipleResults[Payment]:
        bookings = self._some_pending_of(buyer, data)
        return multiple(*(self._pay(buyer, bookings) if bookings else []))

    @rule(target=payments, buyer=buyers, fault=faults, data=st.data())
    def pay_and_complete(self, buyer: str, fault: str, data: st.DataObject) -> MultipleResults[Payment]:
        """From seats to money at one go, or into doubt."""
        bookings = self._some_pending_of(buyer, data)
        made = self._pay(buyer, bookings) if bookings else []
        for payment in made:
            self._complete(payment, self._check_out(payment, fault), buyer)
        return multiple(*made)

    def _some_pending_of(self, buyer: str, data: st.DataObject) -> list[Booking]:
        own = [one for one in self.model.bookings if one.owner == buyer and one.status == "PENDING"]
        return data.draw(st.lists(st.sampled_from(own), min_size=1, max_size=3, unique=True)) if own else []

    def _pay(self, caller: str, bookings: list[Booking]) -> list[Payment]:
        """The new payment; none if there is one, or it is refused."""
        expected, payment = self.model.pay(caller, bookings)
        body = {"userId": self.people[caller].user_id, "bookingIds": [one.id for one in bookings]}
        answer = self.ask(Request(caller, "POST", PAYMENTS, body, "", lambda: expected))
        if expected != OK:
            return []
        made, new = answer.json()["data"], []
        if payment is None:
            payment = Payment(made["paymentId"], caller, PRICE * len(bookings))
            new = [payment]
            self.model.payments += new
            for booking in bookings:
                booking.payment = payment
        assert (made["paymentId"], made["totalPrice"]) == (payment.id, payment.total)
        return new

    @rule(payment=payments, fault=faults, again=st.booleans())
    def complete(self, payment: Payment, fault: str, again: bool) -> None:
        """If the provider does not answer, it is the buyer who finds out, or else the worker."""
        self._complete(payment, self._check_out(payment, fault), payment.owner, again=again)

    @rule(payment=payments, caller=callers, change=st.sampled_from([0, 1, -1]))
    def complete_by_the_latest_checkout(self, payment: Payment, caller: str, change: int) -> None:
        self._complete(payment, self._latest_checkout(payment), caller, change=change)

    @rule(target=requests, payment=payments)
    def complete_under_a_key(self, payment: Payment) -> Request:
        return self._complete(payment, self._latest_checkout(payment), payment.owner, key=self.new_key())

    def _check_out(self, payment: Payment, fault: str = "") -> Checkout:
        checkout = self.shop.check_out(payment.id, fault)
        payment.checkouts.append(checkout)
        self.model.faults[checkout] = fault
        return checkout

    def _latest_checkout(self, payment: Payment) -> Checkout:
        return payment.checkouts[-1] if payment.checkouts else self._check_out(payment)

    def _complete(
        self, payment: Payment, checkout: Checkout, caller: str, *, again: bool = False, change: int = 0, key: str = ""
    ) -> Request:
        amount = payment.total + change
        request = Request(
            caller, "PATCH", COMPLETE, checkout.body | {"amount": amount}, key,
            judge=lambda: self.model.complete(caller, payment, checkout, amount),
            resume=lambda: self.model.outcome_of(payment),
        )  # fmt: skip
        self.ask(request)
        if again and payment.in_doubt:
            self.ask(request)
        self.let_work()
        return request

    @rule(target=requests, caller=callers, payment=payments, keyed=st.booleans())
    def cancel_payment(self, caller: str, payment: Payment, keyed: bool) -> MultipleResults[Request]:
        request = Request(
            caller, "PATCH", f"{PAYMENTS}/{payment.id}", None, self.new_key() if keyed else "",
            judge=lambda: self.model.cancel_payment(caller, payment),
            resume=lambda: self.model.finish_cancelling(payment),
            begun=lambda: not payment.in_doubt,
        )  # fmt: skip
        self.ask(request)
        self.let_work()
        return multiple(request) if keyed else multiple()

    @rule(caller=callers, payment=payments)
    def delete_payment(self, caller: str, payment: Payment) -> None:
        path = f"{PAYMENTS}/{payment.id}"
        self.ask(Request(caller, "DELETE", path, None, "", lambda: self.model.delete_payment(caller, payment)))

    @rule(confirm_down=st.booleans(), cancel_down=st.booleans())
    def the_provider_fails_or_is_well_again(self, confirm_down: bool, cancel_down: bool) -> None:
        self.agreed = False
        self.shop.switch(latencyMedianMs=0, confirmDown=confirm_down, cancelDown=cancel_down)
        self.model.confirm_down, self.model.cancel_down = confirm_down, cancel_down
        self.let_work()


@pytest.fixture(scope="module")
def steady(
    hasty: Shop, stage: Stage, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A shop where nothing happens but what a step brings about; of two order-services, if the stage has so many."""
    if stage.services["order"].replicas == 1:
        yield hasty
        return
    with second_order(hasty.platform, supervisor, tmp_path_factory.mktemp("steady"), HASTY):
        yield hasty


# By hand, a failure is made as small as it goes before it is reported, and that takes its time.
@pytest.mark.timeout(240 if FACTOR == 1 else 3600)
@pytest.mark.parametrize(
    ("machine", "examples", "steps"),
    [pytest.param(BookingMachine, 10, 20, id="bookings"), pytest.param(PaymentMachine, 20, 25, id="payments")],
)
def test_whatever_is_asked_for_is_answered_and_done_by_the_contract(
    machine: type[OrderMachine], examples: int, steps: int, steady: Shop
) -> None:
    class OnThisStage(machine):  # type: ignore[misc, valid-type]
        shop = steady
        new_show = staticmethod(make_show(steady.make))

    run_machine(
        OnThisStage,
        settings=settings(
            max_examples=examples * FACTOR,
            stateful_step_count=steps,
            derandomize=FACTOR == 1,
            database=None,
            deadline=None,
            phases=[Phase.generate] if FACTOR == 1 else [Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_payment_for_as_many_others_is_not_the_same_payment(steady: Shop) -> None:
    """Found by the machine: one booking of the waiting payment, and one that nobody pays for yet."""
    buyer = steady.make.person()
    first, second, third = steady.book(buyer, 3)
    payment_id = steady.payment(buyer, [first, second])
    for others in ([first, third], [second, third]):
        buyer.refused(400, 1001, "POST", PAYMENTS, json={"userId": buyer.user_id, "bookingIds": others})
    assert steady.payment(buyer, [second, first]) == payment_id


def test_another_amount_is_refused_for_a_payment_that_is_paid_too(steady: Shop) -> None:
    """Found by the machine: to whoever asks again, the amount was no matter any more."""
    buyer = steady.make.person()
    _, checkout = steady.buy(buyer)
    for amount in (checkout.amount - 1, checkout.amount + 1):
        buyer.refused(400, 4006, "PATCH", COMPLETE, json=checkout.body | {"amount": amount})
    assert buyer.patch(COMPLETE, checkout.body) == {}
