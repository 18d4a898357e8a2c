"""Browse, look at seats, book, pay, sometimes cancel; whoever is told to wait leaves, or stays to watch."""

from __future__ import annotations

import itertools
import json
import time
from typing import Any

import gevent
from locust import task

from payment_simulator.checkout_key import payment_key_for
from scenarios.client import PlatformUser
from scenarios.model import Attempt
from scenarios.on_sale.rules import CANCELING_SHARE, POLLING_SHARE

# Where an answer names no time to come back at, and the longest that anybody stays away.
POLL_SECONDS, LONGEST_POLL_SECONDS = 1.0, 10.0

_BOOKINGS, _PAYMENTS = "/order-service/bookings", "/order-service/payments"


class Visitor(PlatformUser):
    def on_start(self) -> None:
        super().on_start()
        self.user = self.number % len(self.plan.tokens)
        self.user_id = self.plan.data["user_ids"][self.user]
        self._visits = itertools.count()

    @task
    def visit(self) -> None:
        page, show = (
            self.random.randrange(self.plan.data["pages"]),
            self.random.randrange(len(self.plan.data["prices"])),
        )
        wish, polls, cancels = self.random.random(), self.random.random(), self.random.random() < CANCELING_SHARE
        self.ask("GET", f"/concert-service/concerts?page={page}&size=20", "GET /concerts")
        seat = self._free_seat(show + 1, wish)
        if seat is None:
            return
        name = f"{self.plan.keys}-{self.number}-{next(self._visits)}"
        body = {"scheduleId": show + 1, "userId": self.user_id, "price": self.plan.data["prices"][show], "seat": [seat]}
        booking = self._change("POST", _BOOKINGS, "POST /bookings", body, key=name)
        if booking.ticket is None:
            self._pay(booking, name, cancels)
        elif polls < POLLING_SHARE:
            # Beside the visits that this client still has to make.
            gevent.spawn(self._watch, booking, name, cancels)

    def _free_seat(self, show: int, wish: float) -> str | None:
        """A seat that the map shows as free: any of them, decided by ``wish`` in [0, 1)."""
        answer = self.ask("GET", f"/concert-service/schedules/{show}", "GET /schedules/{id}", follows=True)
        if answer.status_code != 200:
            return None
        schedule = json.loads(answer.text)["data"]
        taken, venue = set(schedule["seatList"]), schedule["stage"]
        seats = (f"{row} {column}" for row in range(1, venue["row"] + 1) for column in range(1, venue["col"] + 1))
        free = [seat for seat in seats if seat not in taken]
        return free[int(wish * len(free))] if free else None

    def _pay(self, booking: Attempt, name: str, cancels: bool) -> None:
        """Takes the booking through its payment, and calls it off if that is what the visitor does."""
        if booking.final_status != 200:
            return
        (booked,) = booking.data
        covered = {"userId": self.user_id, "bookingIds": [booked["id"]]}
        payment = self._change("POST", _PAYMENTS, "POST /payments", covered, key=f"{name}-pay")
        if payment.final_status != 200:
            return
        order_id, amount = f"{payment.data['paymentId']}_{name}", payment.data["totalPrice"]
        checkout = {"paymentId": payment_key_for(order_id, amount), "orderId": order_id, "amount": amount}
        paid = self._change("PATCH", f"{_PAYMENTS}/complete", "PATCH /payments/complete", checkout, key=f"{name}-done")
        if cancels and paid.final_status == 200:
            self._change("PATCH", f"{_BOOKINGS}/cancel/{booked['id']}", "PATCH /bookings/cancel/{id}")

    def _watch(self, booking: Attempt, name: str, cancels: bool) -> None:
        """Asks for the ticket's outcome, as often as the answers say, and goes on when it is there."""
        ticket = booking.ticket
        assert ticket is not None, "only those watch who wait"
        ticket.polled = True
        while not ticket.ended:
            answer = self.ask(
                "GET", ticket.location, "GET /monitor/tickets/{id}", follows=True, context={"polls": True}
            )
            if ticket.read(answer.status_code or 0, answer.text or ""):
                ticket.ended_at = time.time()
            else:
                gevent.sleep(_seconds(answer.headers))
        self._pay(booking, name, cancels)

    def _change(self, method: str, path: str, name: str, json: Any = None, key: str = "") -> Attempt:
        return self.change(method, path, name, json, user=self.user, key=key, follows=True)


def _seconds(headers: Any) -> float:
    """When to ask again, by ``Retry-After``."""
    told = (headers or {}).get("Retry-After") or ""
    return min(float(told), LONGEST_POLL_SECONDS) if told.isdecimal() and int(told) else POLL_SECONDS
