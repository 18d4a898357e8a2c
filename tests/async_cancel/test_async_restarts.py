"""Processes end between two steps: in order, or killed at the worst moment, under a load of cancellations."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from common.errors import BookingNotCancellable
from tests.async_cancel.stage_hall import CANCELLATIONS, GROUP, Bought, Hall
from tests.contract.client import outcome
from tests.contract.ordering import PRICE
from tests.polling import until


@contextmanager
def load(hall: Hall, count: int) -> Iterator[list[Bought]]:
    """As many cancellations, one after the other while the block lasts; then all are repeated that met a 503.

    One that order-service had committed when it was killed may be told that its booking is cancelled already.
    """
    bought, stop = hall.buy(count), threading.Event()

    def cancel_on() -> None:
        for one in bought:
            if not stop.wait(0.05):
                hall.cancel(one)

    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(cancel_on)
        try:
            yield bought
        finally:
            stop.set()
            running.result()
    hall.await_ready()
    accepted = {one.booking_id for one in hall.accepted}
    repeated = [one for one in bought if one.booking_id not in accepted]
    told = {outcome(answer) for answer in hall.cancel(*repeated)}
    assert told <= {(200, 0), (BookingNotCancellable.status, BookingNotCancellable.code)}


def test_the_consumer_is_killed_between_the_refund_and_its_commit(hall: Hall) -> None:
    some = hall.buy(3)
    with load(hall, 20) as others:
        with hall.payments_locked(some):
            hall.accept(*some)
            # The provider has done it, and nobody can write that down.
            assert until(lambda: all(hall.refunded(one) for one in some))
            assert set(hall.statuses(some)) == {"CANCEL_REQUESTED"}
            hall.canceller.kill()
        assert set(hall.statuses(some)) == {"CANCEL_REQUESTED"}
        hall.canceller.respawn()
        hall.settled(some)
    hall.settled(others)
    assert until(hall.finished)


def test_the_consumer_is_killed_between_its_commit_and_its_offset(hall: Hall) -> None:
    some = hall.buy(3)
    with load(hall, 20) as others:
        with hall.payments_locked(some):
            hall.accept(*some)
            assert until(lambda: all(hall.refunded(one) for one in some))
            # The consumer has the messages; what it finishes now, it can tell nobody.
            hall.kafka.pause()
        try:
            hall.settled(some)
            hall.canceller.kill()
        finally:
            hall.kafka.resume()
        before, ends = hall.broker.committed(GROUP), hall.broker.ends(CANCELLATIONS)
        assert any(before.get(partition, 0) < end for partition, end in ends.items()), "it has to be done again"
        hall.canceller.respawn()
    hall.settled(some + others)
    assert until(hall.finished)
    assert [hall.refunded(one) for one in some] == [[PRICE]] * 3


def test_order_service_is_killed_between_its_commit_and_publishing(hall: Hall) -> None:
    """Nothing can be published while the broker is dead; the rows are there, and the next order-service finds them."""
    some = hall.buy(3)
    assert until(hall.finished)
    before = hall.broker.ends(CANCELLATIONS)
    hall.kafka.kill()
    try:
        with load(hall, 20) as others:
            hall.accept(*some)
            keys = [str(one.booking_id) for one in some]
            hall.order.kill()
            left = hall.rows("SELECT published_at FROM outbox WHERE key = ANY(%s)", keys)
            assert [row["published_at"] for row in left] == [None] * 3
            assert set(hall.statuses(some)) == {"CANCEL_REQUESTED"}
            hall.kafka.respawn()
            assert until(lambda: hall.ends_now() == before), "nothing was published"
            hall.order.respawn()
            hall.settled(some)
    finally:
        for process in (hall.kafka, hall.order):
            if not process.alive():
                process.respawn()
        hall.await_ready()
    hall.settled(others)
    assert hall.unpublished() == 0
    assert until(hall.finished)


def test_a_consumer_that_ends_in_order_finishes_what_it_has_begun(hall: Hall) -> None:
    some = hall.buy(4)
    hall.shop.switch(latencyMedianMs=500)
    hall.accept(*some)
    # The provider is at work on all of them.
    assert until(lambda: hall.broker.ends(CANCELLATIONS) != hall.broker.committed(GROUP) or hall.unpublished() == 0)
    hall.canceller.terminate()
    try:
        assert hall.canceller.returncode == 0
        assert hall.broker.members(GROUP) == 0
        # Nobody else has to do it again: what has been refunded has been written down, and committed.
        assert [one for one in some if (hall.refunded(one) != []) != (hall.statuses([one]) == ["CANCELED"])] == []
    finally:
        hall.canceller.respawn()
        hall.shop.switch(latencyMedianMs=0)
    hall.settled(some)
    assert until(hall.finished)


def test_a_consumer_ends_while_the_broker_stands_still(hall: Hall) -> None:
    hall.await_ready()
    kafka = hall.kafka
    kafka.pause()
    try:
        ending = (hall.canceller, hall.order)
        with ThreadPoolExecutor(len(ending)) as threads:
            list(threads.map(lambda process: process.terminate(grace=14.0), ending))
        assert [process.returncode for process in ending] == [0, 0], "it had to be killed"
    finally:
        kafka.resume()
        for process in (hall.order, hall.canceller):
            if not process.alive():
                process.respawn()
        hall.await_ready()
    some = hall.buy(2)
    hall.accept(*some)
    hall.settled(some)
