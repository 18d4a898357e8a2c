"""Buying, as the tests do it: through the gateway and the provider's simulator, and the records of both."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from harness.launch import RunningStage
from payment_simulator.schema import open_for_reading
from tests import plain
from tests.contract.client import Api, refused, succeeded
from tests.contract.making import Maker
from tests.polling import SECONDS, until

BOOKINGS = "/order-service/bookings"
PAYMENTS = "/order-service/payments"
COMPLETE = f"{PAYMENTS}/complete"

PRICE = 110_000

eventually = until

_orders = itertools.count(1)
_seats = itertools.count()

# Longer ago than any hold: by the clock of its database, a booking grows old in no time.
_AGE = """
    UPDATE bookings SET created_at = created_at - interval '1 day', expires_at = expires_at - interval '1 day'
    WHERE id = ANY(%s) RETURNING id
"""


@dataclass(frozen=True)
class Checkout:
    """A payment that its buyer has agreed to in the provider's widget."""

    payment_id: int
    payment_key: str
    order_id: str
    amount: int

    @property
    def body(self) -> dict[str, Any]:
        """What the success page sends."""
        return {"paymentId": self.payment_key, "orderId": self.order_id, "amount": self.amount}


@dataclass(frozen=True)
class Shop:
    """One show of 1,000 by 1,000 seats, and who buys there."""

    make: Maker
    schedule: Mapping[str, Any]
    provider: httpx.Client

    @property
    def platform(self) -> RunningStage:
        return self.make.platform

    def seats(self, count: int = 1) -> list[str]:
        """Free seats, side by side."""
        place = next(_seats) * 10
        return [f"{place // 1000 + 1} {place % 1000 + 1 + number}" for number in range(count)]

    def request(self, buyer: Api, seats: Sequence[str], **changes: Any) -> dict[str, Any]:
        """The body that books ``seats``."""
        return {
            "scheduleId": self.schedule["id"], "userId": buyer.user_id, "price": PRICE, "seat": list(seats), **changes,
        }  # fmt: skip

    def book(self, buyer: Api, count: int = 1) -> list[int]:
        """The ids of new PENDING bookings."""
        booked = buyer.post(BOOKINGS, self.request(buyer, self.seats(count)))
        return [booking["id"] for booking in booked]

    def payment(self, buyer: Api, booking_ids: Sequence[int]) -> int:
        """The id of a WAITING payment."""
        made = buyer.post(PAYMENTS, {"userId": buyer.user_id, "bookingIds": list(booking_ids)})
        return int(made["paymentId"])

    def check_out(self, payment_id: int, fault: str = "") -> Checkout:
        """What the widget hands out; ``fault`` is one of the simulator's words, as ``decline-``."""
        (row,) = self.make.rows("order", "SELECT total_price FROM payments WHERE id = %s", payment_id)
        order_id, amount = f"{payment_id}_{fault}order{next(_orders)}", int(row["total_price"])
        answer = self.provider.post("/simulator/checkouts", json={"orderId": order_id, "amount": amount})
        assert answer.status_code == 200, answer.text
        return Checkout(payment_id, answer.json()["paymentKey"], order_id, amount)

    def checked_out(self, buyer: Api, count: int = 1, fault: str = "") -> tuple[list[int], Checkout]:
        """New bookings, and the checkout of the payment that covers them."""
        booking_ids = self.book(buyer, count)
        return booking_ids, self.check_out(self.payment(buyer, booking_ids), fault)

    def buy(self, buyer: Api, count: int = 1, fault: str = "") -> tuple[list[int], Checkout]:
        """CONFIRMED bookings, and their COMPLETED payment."""
        booking_ids, checkout = self.checked_out(buyer, count, fault)
        assert buyer.patch(COMPLETE, checkout.body) == {}
        return booking_ids, checkout

    @property
    def refunds_later(self) -> bool:
        """Whether a cancellation is answered before the provider is asked for the refund."""
        return "canceller" in self.platform.stage.workers

    def count(self, name: str) -> float:
        """The sum of a counter of all order-services."""
        return sum(metric(f"http://127.0.0.1:{port}", name) for port in self.platform.ports["order"])

    def cancel(self, caller: Api, booking_id: int) -> httpx.Response:
        return caller.send("PATCH", f"{BOOKINGS}/cancel/{booking_id}")

    def begun(self, answer: httpx.Response) -> None:
        """The cancellation happens, but the provider has not refunded it: to who waits for that, 503."""
        if self.refunds_later:
            assert succeeded(answer) == {}
            return
        refused(answer, 503, 5000)
        assert int(answer.headers["retry-after"]) >= 1

    def ends(self, booking_ids: Sequence[int], status: str) -> bool:
        """Whether all bookings come to that status: at once, if who has canceled them has waited for it."""
        wanted = [status] * len(booking_ids)
        return until(lambda: self.bookings(booking_ids) == wanted, SECONDS if self.refunds_later else 0)

    def age(self, booking_ids: Sequence[int]) -> None:
        """The time of these bookings is over, whether or not anybody may give them up."""
        assert len(self.make.rows("order", _AGE, list(booking_ids))) == len(booking_ids)

    def give_up_what_is_overdue(self) -> None:
        """Returns when the worker has had a turn, at which it saw all that is overdue by now."""
        overdue = self.book(self.make.person())
        self.age(overdue)
        assert until(lambda: self.bookings(overdue) == ["CANCELED"])

    def hurry(self, payment_ids: Sequence[int]) -> None:
        """The worker asks about payments in doubt at once, however long it would wait after so many failures."""
        due = "UPDATE payments SET confirm_due_at = now() WHERE id = ANY(%s) AND confirm_due_at > now() RETURNING id"
        self.make.rows("order", due, list(payment_ids))

    def bookings(self, booking_ids: Sequence[int]) -> list[str]:
        """The status of each."""
        self._await_refunds()
        query = "SELECT status FROM bookings WHERE id = ANY(%s) ORDER BY id"
        return [row["status"] for row in self.make.rows("order", query, list(booking_ids))]

    def payment_status(self, payment_id: int) -> str:
        self._await_refunds()
        (row,) = self.make.rows("order", "SELECT status FROM payments WHERE id = %s", payment_id)
        return str(row["status"])

    def refunds(self, payment_id: int) -> list[tuple[int | None, int, str]]:
        """Booking, amount and status of each refund that order-service knows of."""
        self._await_refunds()
        query = "SELECT booking_id, amount, status FROM refunds WHERE payment_id = %s ORDER BY booking_id"
        rows = self.make.rows("order", query, payment_id)
        return [(row["booking_id"], row["amount"], row["status"]) for row in rows]

    def approved(self, checkout: Checkout) -> list[int]:
        """The amounts that the provider has taken for a checkout: none, or one."""
        query = "SELECT total_amount FROM payments WHERE payment_key = ? AND status <> 'ABORTED'"
        return self._ledger(query, checkout)

    def given_back(self, checkout: Checkout) -> list[int]:
        """The amounts that the provider has given back."""
        self._await_refunds()
        return self.given_back_by_now(checkout)

    def given_back_by_now(self, checkout: Checkout) -> list[int]:
        """The same, even if some of it is still to come."""
        return self._ledger("SELECT amount FROM cancels WHERE payment_key = ? ORDER BY number", checkout)

    def _await_refunds(self) -> None:
        """Where they come after the answer: returns when the provider has been asked for each, whatever it said."""
        query = "SELECT 1 FROM refunds WHERE status = 'REQUESTED' AND problem IS NULL LIMIT 1"
        assert not self.refunds_later or until(lambda: self.make.rows("order", query) == [])

    def _ledger(self, query: str, checkout: Checkout) -> list[int]:
        with closing(open_for_reading(self.platform.ledger)) as ledger:
            return [amount for (amount,) in ledger.execute(query, (checkout.payment_key,))]

    @contextmanager
    def provider_faults(self, **faults: float | bool) -> Iterator[None]:
        """The provider misbehaves during the block, and is back at no latency after it."""
        self.switch(latencyMedianMs=0, **faults)
        try:
            yield
        finally:
            self.switch(latencyMedianMs=0)

    def switch(self, **faults: float | bool) -> None:
        answer = self.provider.put("/simulator/faults", json=faults)
        assert answer.status_code == 200, answer.text


def metric(base_url: str, name: str) -> float:
    """The value of a metric without labels, or with the labels in the name; 0 where it is not there yet."""
    lines = plain.get(base_url + "/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.rpartition(" ")[0] == name)


@contextmanager
def shopping(make: Maker) -> Iterator[Shop]:
    """A show on sale, and a provider that answers at once."""
    schedule = make.schedule(make.concert(price=PRICE), make.venue(row=1000, col=1010))
    base_url, secret = make.platform.service_urls["payment"], make.platform.secrets.payment
    with plain.Client(base_url=base_url, auth=(secret, ""), timeout=20) as provider:
        shop = Shop(make, schedule, provider)
        shop.switch(latencyMedianMs=0)
        yield shop


def over_show(make: Maker) -> Any:
    """A schedule whose show was years ago."""
    concert = make.concert(startDate="2020-03-01", endDate="2020-03-31", price=PRICE)
    return make.schedule(concert, make.venue(), concertDate="2020-03-05")
