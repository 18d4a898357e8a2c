"""People who pay while order-service dies: some at the worst moment, some all the time, and nobody twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from typing import Any

import httpx

from payment_simulator.checkout_key import payment_key_for
from payment_simulator.schema import open_for_reading
from scenarios.dataset import concert_of, free_seat, prices
from scenarios.model import CellState
from tests import plain
from tests.faults.answers import breach
from tests.faults.witness import PATIENCE_SECONDS

CAUGHT = 6
"""Payers whose money the provider takes without a word: most of the time they wait between its act and our commit."""
STEADY = 3
"""Payers who buy one seat after the other, and repeat each request until it is answered."""

FRESH_SECONDS = 1.0
"""Much less than order-service waits for the provider."""

_SHOW = 1
_BOOKINGS, _PAYMENTS = "/order-service/bookings", "/order-service/payments"
_AGAIN_SECONDS = 0.1


@dataclass(frozen=True)
class Purchase:
    """One seat that was booked, and that its payer has agreed to pay for."""

    payer: int
    """The number of the load's user."""
    booking_id: int
    payment_id: int
    checkout: dict[str, Any]
    """The body that completes the payment."""

    @property
    def payment_key(self) -> str:
        return str(self.checkout["paymentId"])

    @property
    def amount(self) -> int:
        """Won."""
        return int(self.checkout["amount"])


@dataclass
class Payers:
    """What was bought, and what was wrong with the answers."""

    state: CellState
    caught: list[Purchase] = field(default_factory=list)
    steady: list[Purchase] = field(default_factory=list)
    told: list[tuple[int, int]] = field(default_factory=list)
    """Status and code of the answers to those who were caught."""
    wrong: list[str] = field(default_factory=list)
    """Answers that are none of the contract's."""
    _seats: Iterator[int] = field(default_factory=count)

    def pay_unanswered(self, payer: int, stop: threading.Event) -> None:
        """Buys one seat after the other; for each the provider takes the money, and never says so."""
        with self._client(payer) as client:
            while not stop.is_set():
                purchase = self._order(client, payer, "lost-")
                self.caught.append(purchase)
                answer = self._send(client, "PATCH", f"{_PAYMENTS}/complete", purchase.checkout)
                self.told.append((answer.status_code, answer.json()["code"]))

    def pay_on(self, payer: int, stop: threading.Event) -> None:
        """Buys seats until told to stop; what has been begun is brought to its end."""
        with self._client(payer) as client:
            while not stop.is_set():
                purchase = self._order(client, payer, "")
                self.steady.append(purchase)
                self._insist(client, "PATCH", f"{_PAYMENTS}/complete", purchase.checkout)

    def some_are_midway(self) -> bool:
        """Whether the provider has just taken money, so that order-service still waits for its word."""
        with closing(open_for_reading(self.state.ledger)) as ledger:
            query = "SELECT payment_key FROM payments WHERE confirmed_ms > ?"
            fresh = {key for (key,) in ledger.execute(query, [1000 * (time.time() - FRESH_SECONDS)])}
        return any(purchase.payment_key in fresh for purchase in self.caught)

    def complete_again(self, purchase: Purchase) -> tuple[int, int]:
        """Status and code of the same request, sent once more when everything is over."""
        with self._client(purchase.payer) as client:
            answer = self._send(client, "PATCH", f"{_PAYMENTS}/complete", purchase.checkout)
            return answer.status_code, answer.json()["code"]

    def _order(self, client: httpx.Client, payer: int, fault: str) -> Purchase:
        """Books a seat of this payer's own and makes its payment; ``fault`` is one of the simulator's words."""
        price = prices(self.state.dataset)[concert_of(self.state.dataset, _SHOW)]
        user_id = self.state.dataset.load_users[payer].user_id
        seat = free_seat(next(self._seats))
        wanted = {"scheduleId": _SHOW, "userId": user_id, "price": price, "seat": [seat]}
        (booking,) = self._insist(client, "POST", _BOOKINGS, wanted)
        covered = {"userId": user_id, "bookingIds": [booking["id"]]}
        payment_id = self._insist(client, "POST", _PAYMENTS, covered)["paymentId"]
        order_id = f"{payment_id}_{fault}of{payer}"
        checkout = {"paymentId": payment_key_for(order_id, price), "orderId": order_id, "amount": price}
        return Purchase(payer, booking["id"], payment_id, checkout)

    def _insist(self, client: httpx.Client, method: str, path: str, body: Any) -> Any:
        """The data of the success that a request comes to, repeated under its key while the service is not there."""
        key = {"Idempotency-Key": token_hex(8)}
        given_up = time.monotonic() + PATIENCE_SECONDS
        answer = self._send(client, method, path, body, key)
        while answer.status_code == 503 and time.monotonic() < given_up:
            time.sleep(_AGAIN_SECONDS)
            answer = self._send(client, method, path, body, key)
        assert answer.status_code == 200, f"{method} {path}: {answer.text}"
        return answer.json()["data"]

    def _send(
        self, client: httpx.Client, method: str, path: str, body: Any, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        answer = client.request(method, path, json=body, headers=headers)
        problem = breach(answer)
        if problem is not None:
            self.wrong.append(f"{method} {path}: {problem}")
        return answer

    def _client(self, payer: int) -> httpx.Client:
        return plain.Client(
            base_url=self.state.gateway_url,
            headers={"Authorization": f"Bearer {self.state.tokens[payer]}"},
            timeout=PATIENCE_SECONDS,
        )


@contextmanager
def paying(state: CellState) -> Iterator[Payers]:
    """People pay for as long as the block lasts; at its end, all of them have been answered.

    Raises:
        AssertionError: somebody was refused, or did not get through.
    """
    payers, stop = Payers(state), threading.Event()
    with ThreadPoolExecutor(CAUGHT + STEADY) as threads:
        paid: list[Future[None]] = [threads.submit(payers.pay_unanswered, payer, stop) for payer in range(CAUGHT)]
        paid += [threads.submit(payers.pay_on, payer, stop) for payer in range(CAUGHT, CAUGHT + STEADY)]
        try:
            yield payers
        finally:
            stop.set()
    for one in paid:
        one.result()
