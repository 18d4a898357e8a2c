"""Two relays on one outbox: nothing is lost, nothing is published by both, and the order of each key is kept."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from itertools import pairwise

import psycopg

from tests.async_cancel.stage_hall import CANCELLATIONS, Hall
from tests.contract.ordering import metric
from tests.polling import until

KEYS, EACH = 60, 25
LITTER_SECONDS = 90.0
# Longer than order-service's connections may be idle within a transaction, and shorter than a send may take.
IDLE_SECONDS = 3.0

_FILL = """
    INSERT INTO outbox (key, body, request_id)
    SELECT 'key-' || key,
           json_build_object('bookingId', %s::bigint, 'run', %s::text, 'key', key, 'number', number)::text, 'filled'
    FROM generate_series(1, %s) AS number, generate_series(1, %s) AS key ORDER BY number, random()
"""


def test_what_was_published_an_hour_ago_is_trimmed(hall: Hall) -> None:
    def litter() -> list[float]:
        rows = hall.rows("SELECT extract(epoch FROM now() - published_at) AS age FROM outbox WHERE key = 'litter'")
        return [float(row["age"]) for row in rows]

    assert until(lambda: len(litter()) == 1, LITTER_SECONDS), litter()
    assert 1800 <= litter()[0] < 3600
    assert len(hall.rows("SELECT 1 FROM outbox WHERE published_at > now() - interval '1 hour' LIMIT 1")) == 1


def test_two_relays_publish_each_row_once_and_in_order(hall: Hall) -> None:
    (one,) = hall.buy(1)
    hall.accept(one)
    hall.settled([one])  # so that its message, again and again, is nothing to do
    before = hall.broker.ends(CANCELLATIONS)
    with hall.one_more("order") as second:
        fill(hall, one.booking_id, "both")
        assert until(lambda: hall.unpublished() == 0)
        ports = (hall.running.ports["order"][0], second.port)
        published = [metric(f"http://127.0.0.1:{port}", "order_outbox_published_total") for port in ports]
    # Not one of them all of it; what the first has published before does not matter.
    assert 0 < published[1] < KEYS * EACH, published
    check(hall, before, "both")


def test_a_relay_that_is_killed_leaves_its_rows_to_the_other(hall: Hall) -> None:
    (one,) = hall.buy(1)
    hall.accept(one)
    hall.settled([one])
    before = hall.broker.ends(CANCELLATIONS)
    with hall.one_more("order") as second:
        fill(hall, one.booking_id, "killed")
        assert until(lambda: hall.unpublished() < KEYS * EACH)
        second.process.kill()
        assert until(lambda: hall.unpublished() == 0)
    check(hall, before, "killed", at_least_once=True)


def test_rows_stay_locked_while_the_broker_stands_still(hall: Hall) -> None:
    """For longer than a transaction may be idle that books seats."""
    (one,) = hall.buy(1)
    hall.accept(one)
    hall.settled([one])
    before = hall.broker.ends(CANCELLATIONS)

    def free() -> int:
        return len(hall.rows("SELECT 1 FROM outbox WHERE published_at IS NULL FOR UPDATE SKIP LOCKED"))

    hall.kafka.pause()
    try:
        fill(hall, one.booking_id, "still")
        # The first of each key are with a relay. This look keeps some from it, which another may take then.
        assert until(lambda: free() < KEYS * EACH)
        waiting = free()
        time.sleep(IDLE_SECONDS)
        assert free() <= waiting
    finally:
        hall.kafka.resume()
    assert until(lambda: hall.unpublished() == 0)
    check(hall, before, "still")


def fill(hall: Hall, booking_id: int, run: str) -> None:
    with psycopg.connect(hall.running.database_urls["order"]) as connection:
        connection.execute(_FILL, [booking_id, run, EACH, KEYS])


def check(hall: Hall, before: dict[int, int], run: str, *, at_least_once: bool = False) -> None:
    """Every message is there, and those of each key came in the order of their rows."""
    numbers: defaultdict[int, list[int]] = defaultdict(list)
    for message in hall.broker.messages(CANCELLATIONS, before):
        body = json.loads(message.value or b"{}")
        if body.get("run") == run:
            assert message.key == f"key-{body['key']}".encode()
            assert message.headers["request-id"] == b"filled"
            numbers[body["key"]].append(body["number"])
    assert sorted(numbers) == list(range(1, KEYS + 1))
    for published in numbers.values():
        # What a relay has published and not marked before it died comes once more, before anything later.
        steps = {later - earlier for earlier, later in pairwise(published)}
        assert sorted(set(published)) == list(range(1, EACH + 1))
        assert steps <= ({0, 1} if at_least_once else {1}), published
