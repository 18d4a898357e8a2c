"""A seat is sold once, whatever stands still, dies or forgets while it is being sold."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from harness.stages.manifest import Stage
from tests import plain
from tests.contract.ordering import Shop
from tests.contract.test_bookings_race import rush
from tests.polling import until
from tests.scaleout.box_office import BUSY, LEASE_SECONDS, TAKEN, WON, BoxOffice, said

BUYERS = 1_000
STALL_SECONDS = 3.0
# So that those who buy for the length of a lease leave something of both cores to others.
PAUSE_SECONDS = 0.02


@pytest.fixture(scope="module")
def office(scaled_stage: Stage, shop: Shop) -> Iterator[BoxOffice]:
    """The locks came with the instances: who has the one has the other."""
    assert scaled_stage.services["order"].replicas >= 2
    assert (scaled_stage.folder / "order" / "seat_lock.py").exists()
    with plain.Client(timeout=30) as client, ThreadPoolExecutor(32) as threads:
        yield BoxOffice(shop, client, threads)


def test_of_a_thousand_buyers_one_wins_and_everybody_else_is_told(office: BoxOffice) -> None:
    shop = office.shop
    (seat,) = shop.seats()
    buyers = [shop.make.person() for _ in range(BUYERS)]
    bodies = [shop.request(buyer, [seat]) for buyer in buyers]

    outcomes = Counter(asyncio.run(rush(shop.platform.gateway_url, buyers, bodies)))

    assert outcomes == {WON: 1, TAKEN: BUYERS - 1}
    assert len(office.sold([seat])) == 1
    assert until(lambda: office.locks() == [], LEASE_SECONDS)


def test_many_seats_in_opposite_orders_at_both_instances(office: BoxOffice) -> None:
    """Everybody wants four of six seats: nobody waits for somebody who waits for him."""
    shop = office.shop
    for _ in range(5):
        seats = shop.seats(6)
        wanted = [random.sample(seats, 4) for _ in range(24)]
        buyers = [shop.make.person() for _ in wanted]
        numbers = range(len(wanted))
        answers = list(
            office.threads.map(lambda n: said(office.book(n % 2, buyers[n], wanted[n])), numbers)  # noqa: B023
        )
        assert Counter(answers) == {WON: 1, TAKEN: len(wanted) - 1}
        winner = answers.index(WON)
        assert sorted(office.sold(seats)) == sorted((seat, buyers[winner].user_id) for seat in wanted[winner])


def test_a_holder_that_stands_still_past_its_lease_writes_nothing(office: BoxOffice) -> None:
    """PostgreSQL rolls its transaction back first, then its lease ends, and another gets the seat."""
    shop = office.shop
    seats = shop.seats(2)
    paused, patient = shop.make.person(), shop.make.person()
    with office.holding(0, paused, seats) as answer:
        office.processes[0].pause()
    try:
        began = time.monotonic()
        assert said(office.book(1, patient, seats[:1])) == WON
        assert time.monotonic() - began < LEASE_SECONDS + 2
    finally:
        office.processes[0].resume()
    assert said(answer.result(30)) == BUSY
    assert office.sold(seats) == [(seats[0], patient.user_id)]
    # It has come to itself, without a hand; and its key is not used up.
    assert said(office.book(0, paused, seats[1:])) == WON
    assert office.sold(seats) == [(seats[0], patient.user_id), (seats[1], paused.user_id)]
    assert said(office.book(0, paused, seats, "held")) == TAKEN


def test_a_holder_that_stands_still_for_a_moment_gets_its_seat(office: BoxOffice) -> None:
    shop = office.shop
    seats = shop.seats()
    buyer, other = shop.make.person(), shop.make.person()
    with office.holding(0, buyer, seats) as answer:
        office.processes[0].pause()
    time.sleep(LEASE_SECONDS / 10)  # the length of the fault
    office.processes[0].resume()
    assert said(answer.result(30)) == WON
    assert said(office.book(1, other, seats)) == TAKEN


def test_a_holder_that_is_killed_leaves_the_seat_to_others(office: BoxOffice) -> None:
    shop = office.shop
    seats = shop.seats()
    killed, patient = shop.make.person(), shop.make.person()
    with office.holding(0, killed, seats) as answer:
        office.processes[0].kill()
    try:
        assert said(office.book(1, patient, seats)) == WON
        with pytest.raises(httpx.TransportError):
            answer.result(30)
        assert office.sold(seats) == [(seats[0], patient.user_id)]
    finally:
        office.processes[0].respawn()
        shop.platform.await_ready()


@pytest.mark.parametrize("away", [0.0, STALL_SECONDS], ids=["at once", "3 s later"])
def test_the_lock_server_dies_and_comes_back_without_its_data(away: float, office: BoxOffice) -> None:
    """Buyers of fresh seats, two to each seat, at both instances, all the time."""
    shop = office.shop
    seats: list[str] = []
    won: list[tuple[str, int]] = []
    outcomes: Counter[tuple[int, int]] = Counter()
    lock, over = threading.Lock(), threading.Event()
    without = office.count("order_seat_lock_without_total")

    def buy() -> None:
        while not over.wait(PAUSE_SECONDS):
            with lock:
                (seat,) = shop.seats()
                seats.append(seat)
            buyers = [shop.make.person() for _ in range(2)]
            pair = [office.threads.submit(office.book, number, buyer, [seat]) for number, buyer in enumerate(buyers)]
            answers = [said(one.result(30)) for one in pair]
            with lock:
                outcomes.update(answers)
                won.extend(
                    (seat, buyer.user_id) for buyer, answer in zip(buyers, answers, strict=True) if answer == WON
                )

    with ThreadPoolExecutor(6) as crowd:
        buying = [crowd.submit(buy) for _ in range(6)]
        try:
            assert until(lambda: outcomes[WON] > 50)
            office.restart_lock_server(away)
            before = outcomes[WON]
            assert until(lambda: outcomes[WON] > before + 50)
            assert until(lambda: _takes_locks(office))
        finally:
            over.set()
        for one in buying:
            one.result(30)

    assert set(outcomes) <= {WON, TAKEN}, outcomes
    assert sorted(office.sold(seats)) == sorted(won)
    assert len(won) == len({seat for seat, _ in won}) == len(seats)
    if away:
        assert office.count("order_seat_lock_without_total") > without
    assert until(lambda: office.locks() == [], LEASE_SECONDS + 1)


def _takes_locks(office: BoxOffice) -> bool:
    """Whether bookings at both instances are made with locks again."""
    before = office.count("order_seat_lock_without_total")
    for instance in (0, 1):
        assert said(office.book(instance, office.shop.make.person(), office.shop.seats())) == WON
    return office.count("order_seat_lock_without_total") == before
