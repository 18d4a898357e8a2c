"""Two order-services on one database: what one of them does, the other neither undoes nor does again.

Both are asked directly, as a load balancer would: every other request goes to the second.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, cycle
from typing import Any

import httpx
import pytest

from common.identity import IdentitySigner
from harness.supervise import ManagedProcess, Supervisor
from tests import plain
from tests.contract.client import Api, outcome
from tests.contract.conftest import HASTY
from tests.contract.direct import Services
from tests.contract.making import SEATS, Maker
from tests.contract.ordering import COMPLETE, PRICE, Checkout, Shop, metric
from tests.contract.second_order import second_order
from tests.polling import until

WON, TAKEN, NOT_CANCELLABLE, BUSY = (200, 0), (400, 4000), (400, 4002), (503, 5000)

AT_ONCE = 16
BOOKINGS, PAYMENTS = "/bookings", "/payments"

_keys = count(1)


@dataclass(frozen=True)
class Call:
    """One request of somebody to one of the instances."""

    caller: Api
    method: str
    target: str
    body: Any = None
    key: str = ""


@dataclass(frozen=True)
class Pair:
    """Both instances, and the show that they sell."""

    shop: Shop
    instances: tuple[Services, Services]
    processes: tuple[ManagedProcess, ManagedProcess]

    def at_once(self, calls: list[Call]) -> list[httpx.Response]:
        """The answers, in the order of the calls; neighbours go to different instances."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(_send, cycle(self.instances), calls))

    def count(self, name: str) -> float:
        """The sum of a counter of both, and of the worker that refunds for them, where there is one."""
        urls = [instance.urls["order"] for instance in self.instances]
        urls += [f"http://127.0.0.1:{port}" for port in self.shop.platform.ports.get("canceller", ())]
        return sum(metric(url, name) for url in urls)

    def await_quiet(self) -> None:
        """Nothing is left to do for the workers of what earlier tests have begun, nor to become overdue."""
        held = "UPDATE bookings SET expires_at = now() WHERE status = 'PENDING' AND expires_at > now() RETURNING id"
        self.shop.make.rows("order", held)
        idle = (
            "SELECT (SELECT count(*) FROM bookings WHERE status = 'PENDING' AND expires_at IS NOT NULL)"
            " + (SELECT count(*) FROM payments WHERE confirm_due_at IS NOT NULL) AS n"
        )
        assert until(lambda: self.shop.make.rows("order", idle)[0]["n"] == 0)


def _send(instance: Services, call: Call) -> httpx.Response:
    assert call.caller.user is not None
    headers = instance.signed(call.caller.user, call.method, call.target)
    if call.key:
        headers["Idempotency-Key"] = call.key
    return instance.send("order", call.method, call.target, headers=headers, json=call.body)


@pytest.fixture(scope="module")
def pair(hasty: Shop, supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """The order-service of the hasty stage, and a second one beside it."""
    running = hasty.platform
    signer = IdentitySigner(running.secrets.identity)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    (first,) = running.processes["order"]
    with (
        second_order(running, supervisor, tmp_path_factory.mktemp("second"), HASTY) as second,
        plain.Client(timeout=20, limits=limits) as client,
    ):
        urls = (running.service_urls["order"], second.url)
        one, other = (Services(client, {"order": url}, signer) for url in urls)
        yield Pair(hasty, (one, other), (first, second.process))


@pytest.fixture
def guest(hasty: Shop) -> Api:
    """A buyer on the stage that waits for nothing."""
    return hasty.make.person()


def held(make: Maker, shop: Shop, seats: list[str]) -> list[str]:
    """The seats, as often as they are held."""
    rows = make.rows(
        "order", "SELECT seat_row || ' ' || seat_column AS seat FROM bookings WHERE schedule_id = %s"
        " AND status <> 'CANCELED' ORDER BY id", shop.schedule["id"],
    )  # fmt: skip
    return [row["seat"] for row in rows if row["seat"] in seats]


def test_of_the_buyers_at_both_exactly_one_gets_a_seat(pair: Pair) -> None:
    shop = pair.shop
    outcomes: Counter[tuple[int, int]] = Counter()
    for _ in range(10):
        (seat,) = shop.seats()
        buyers = [shop.make.person() for _ in range(AT_ONCE)]
        calls = [Call(buyer, "POST", BOOKINGS, shop.request(buyer, [seat])) for buyer in buyers]
        answers = [outcome(answer) for answer in pair.at_once(calls)]
        assert answers.count(WON) == 1, answers
        assert held(shop.make, shop, [seat]) == [seat]
        assert seat in buyers[0].get(f"{SEATS}/{shop.schedule['id']}")
        outcomes.update(answers)
    assert set(outcomes) <= {WON, TAKEN, BUSY}, outcomes


def test_of_overlapping_requests_to_both_no_seat_is_sold_twice(pair: Pair) -> None:
    shop = pair.shop
    for _ in range(5):
        seats = shop.seats(8)
        buyers = [shop.make.person() for _ in range(AT_ONCE * 2)]
        wanted = [[seats[(number + step) % 8] for step in (0, 3)] for number in range(len(buyers))]
        calls = [
            Call(buyer, "POST", BOOKINGS, shop.request(buyer, own)) for buyer, own in zip(buyers, wanted, strict=True)
        ]
        answers = [outcome(answer) for answer in pair.at_once(calls)]
        assert set(answers) <= {WON, TAKEN, BUSY}, answers
        sold = [seat for own, answer in zip(wanted, answers, strict=True) if answer == WON for seat in own]
        assert sorted(held(shop.make, shop, seats)) == sorted(sold)
        assert sold
        assert len(sold) == len(set(sold))


def test_one_key_at_both_is_one_booking_and_one_answer(pair: Pair, guest: Api) -> None:
    shop = pair.shop
    for number in range(1, 6):
        call = Call(guest, "POST", BOOKINGS, shop.request(guest, shop.seats(2)), key=f"pair-{next(_keys)}")
        answers = [answer for answer in pair.at_once([call] * AT_ONCE) if outcome(answer) != BUSY]
        assert answers
        assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
        ids = [booking["id"] for booking in answers[0].json()["data"]]
        rows = shop.make.rows("order", "SELECT id FROM bookings WHERE user_id = %s ORDER BY id", guest.user_id)
        assert [row["id"] for row in rows[-2:]] == sorted(ids)
        assert len(rows) == 2 * number


def test_paying_at_both_takes_the_money_once(pair: Pair, guest: Api) -> None:
    shop = pair.shop
    for _ in range(4):
        ids, checkout = shop.checked_out(guest, 2)
        target = COMPLETE.removeprefix("/order-service")
        with shop.provider_faults():
            shop.switch(latencyMedianMs=50, sigma=0)
            answers = pair.at_once([Call(guest, "PATCH", target, checkout.body)] * 6)
        assert {outcome(answer) for answer in answers} == {WON}
        assert shop.approved(checkout) == [2 * PRICE]
        assert shop.bookings(ids) == ["CONFIRMED"] * 2


@pytest.mark.parametrize("what", ["the booking", "the payment"])
def test_cancelling_at_both_refunds_once(what: str, pair: Pair, guest: Api) -> None:
    shop = pair.shop
    before = pair.count("order_refunds_total")
    for _ in range(4):
        (booking_id,), checkout = shop.buy(guest)
        target = f"{BOOKINGS}/cancel/{booking_id}" if what == "the booking" else f"{PAYMENTS}/{checkout.payment_id}"
        with shop.provider_faults():
            shop.switch(latencyMedianMs=50, sigma=0)
            answers = pair.at_once([Call(guest, "PATCH", target)] * 6)
        outcomes = {outcome(answer) for answer in answers}
        assert WON in outcomes
        assert outcomes <= {WON, NOT_CANCELLABLE}
        assert shop.given_back(checkout) == [PRICE]
        assert shop.refunds(checkout.payment_id) == [(booking_id, PRICE, "DONE")]
        assert shop.bookings([booking_id]) == ["CANCELED"]
        assert shop.payment_status(checkout.payment_id) == "CANCELED"
    assert pair.count("order_refunds_total") - before == 4


def test_what_expires_expires_once(pair: Pair, guest: Api) -> None:
    """All of it at the same moment, half of it with payments."""
    shop = pair.shop
    pair.await_quiet()
    before = pair.count("order_bookings_expired_total")
    bookings = [shop.book(guest, 10) for _ in range(6)]
    payments = [shop.payment(guest, ids) for ids in bookings[:3]]
    ids = [booking_id for some in bookings for booking_id in some]
    assert set(shop.bookings(ids)) == {"PENDING"}

    shop.make.rows("order", "UPDATE bookings SET expires_at = now() WHERE id = ANY(%s) RETURNING id", ids)

    assert until(lambda: set(shop.bookings(ids)) == {"CANCELED"})
    assert [shop.payment_status(payment_id) for payment_id in payments] == ["CANCELED"] * 3
    # A round counts what it has given up once it is over.
    assert until(lambda: pair.count("order_bookings_expired_total") - before == len(ids), 2)


def in_doubt(pair: Pair, guest: Api, number: int) -> list[tuple[list[int], Checkout]]:
    """Payments whose confirmation has begun, and has not been answered by the provider."""
    bought = [pair.shop.checked_out(guest) for _ in range(number)]
    for _, checkout in bought:
        assert outcome(guest.send("PATCH", COMPLETE, json=checkout.body)) == BUSY
    return bought


def test_a_payment_in_doubt_is_settled_once(pair: Pair, guest: Api) -> None:
    shop = pair.shop
    pair.await_quiet()
    settled = 'order_payments_settled_total{outcome="confirmed"}'
    before = pair.count(settled)
    with shop.provider_faults(confirmDown=True):
        bought = in_doubt(pair, guest, 12)
    payments = [checkout.payment_id for _, checkout in bought]
    shop.hurry(payments)

    assert until(lambda: {shop.payment_status(payment_id) for payment_id in payments} == {"COMPLETED"})

    assert [shop.bookings(ids) for ids, _ in bought] == [["CONFIRMED"]] * 12
    assert [shop.approved(checkout) for _, checkout in bought] == [[PRICE]] * 12
    assert until(lambda: pair.count(settled) - before == 12, 2)


def test_a_refund_that_is_due_is_done_once(pair: Pair, guest: Api) -> None:
    shop = pair.shop
    before = pair.count("order_refunds_total")
    bought = [shop.buy(guest, 3) for _ in range(5)]
    with shop.provider_faults(cancelDown=True):
        for _, checkout in bought:
            shop.begun(guest.send("PATCH", f"/order-service{PAYMENTS}/{checkout.payment_id}"))
    payments = [checkout.payment_id for _, checkout in bought]
    due = "UPDATE refunds SET due_at = now() WHERE payment_id = ANY(%s) AND status = 'REQUESTED' RETURNING id"
    shop.make.rows("order", due, payments)

    assert until(lambda: {shop.payment_status(payment_id) for payment_id in payments} == {"CANCELED"})

    assert [shop.bookings(ids) for ids, _ in bought] == [["CANCELED"] * 3] * 5
    assert [shop.given_back(checkout) for _, checkout in bought] == [[PRICE] * 3] * 5
    assert until(lambda: pair.count("order_refunds_total") - before == 15, 2)


@pytest.mark.parametrize("standing", [0, 1], ids=["the first", "the second"])
def test_while_one_stands_still_the_other_does_its_work(standing: int, pair: Pair, guest: Api) -> None:
    """Each of them can: that above only one of them has done it all would prove nothing."""
    shop, process = pair.shop, pair.processes[standing]
    unpaid = shop.book(guest)
    with shop.provider_faults(confirmDown=True):
        ((paid, checkout),) = in_doubt(pair, guest, 1)
        process.pause()
        shop.age(unpaid)
    try:
        done: Callable[[], bool] = lambda: shop.bookings(unpaid + paid) == ["CANCELED", "CONFIRMED"]  # noqa: E731
        assert until(done), shop.bookings(unpaid + paid)
    finally:
        process.resume()
    assert shop.approved(checkout) == [PRICE]
