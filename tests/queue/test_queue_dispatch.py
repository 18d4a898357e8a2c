"""What waits in the line is dispatched in order, and every ticket ends in exactly one outcome."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from tests import plain
from tests.contract.client import refused
from tests.contract.ordering import BOOKINGS, PRICE, metric
from tests.polling import until
from tests.queue.line import ADMISSIONS, GROUP, WINDOW, Line, Place

# Longer than the dispatcher tries a ticket that order-service fails at (1.3 s) or waits between two attempts (2 s),
# than an instance is known that says nothing (3 s), and than a consumer's session (6 s).
AWAY_SECONDS = 8.0


def test_waiting_requests_get_their_bookings(line: Line) -> None:
    seats = [line.shop.seats() for _ in range(100)]
    places = line.join(*(line.wish(wanted) for wanted in seats))
    for place, (seat,), (status, http_status, body) in zip(places, seats, line.served(places), strict=True):
        assert (status, http_status, body["code"]) == ("DONE", 200, 0)
        (booking,) = body["data"]
        assert (booking["userId"], booking["seat"], booking["status"]) == (place.wish.user.user_id, seat, "PENDING")
    assert until(line.finished)


def test_of_many_who_want_a_seat_the_first_in_line_gets_it(line: Line) -> None:
    (seat,) = line.shop.seats()
    places = line.join(*(line.wish([seat]) for _ in range(3 * WINDOW)))
    first, *others = line.served(places)
    assert first[1] == 200
    assert {(outcome[0], outcome[1], outcome[2]["code"]) for outcome in others} == {("DONE", 400, 4000)}
    assert line.holders(line.shop.schedule["id"])[seat] == places[0].wish.user.user_id


def test_nobody_is_overtaken_beyond_the_window_that_is_in_flight(line: Line) -> None:
    concert, venue = line.shop.make.concert(price=110_000), line.shop.make.venue(row=30)
    shows = [line.shop.make.schedule(concert, venue) for _ in range(7)]
    wishes = [line.wish([f"{1 + n // 20} {1 + n % 20}"], show=shows[n % 7]) for n in range(10 * WINDOW)]
    with line.paused("dispatcher"):
        places = line.join(*wishes[: 5 * WINDOW])
    places += line.join(*wishes[5 * WINDOW :])
    line.served(places)
    query = "SELECT ticket_id FROM tickets WHERE ticket_id = ANY(%s) ORDER BY finished_at"
    offsets = {place.ticket_id: place.offset for place in places}
    ended = [offsets[row["ticket_id"]] for row in line.shop.make.rows("order", query, list(offsets))]
    latest = ended[0]
    for offset in ended:
        assert offset > latest - WINDOW, "somebody waited for more than a window that began behind them"
        latest = max(latest, offset)
    # Within a show, bookings' ids follow tickets.
    for show in shows:
        rows = line.shop.make.rows(
            "order", "SELECT user_id FROM bookings WHERE schedule_id = %s ORDER BY id", show["id"]
        )
        queued = [place.wish.user.user_id for place in places if place.wish.schedule_id == show["id"]]
        assert [row["user_id"] for row in rows] == queued


def test_a_request_that_nobody_can_serve_fails_alone(line: Line) -> None:
    seats = [line.shop.seats() for _ in range(9)]
    with _poisoned(line, seats[4][0]):
        places = line.join(*(line.wish(wanted) for wanted in seats))
        outcomes = line.served(places)
    assert [outcome[0] for outcome in outcomes] == ["DONE"] * 4 + ["FAILED"] + ["DONE"] * 4
    assert [outcome[1] for outcome in outcomes] == [200] * 4 + [None] + [200] * 4
    assert seats[4][0] not in line.holders(line.shop.schedule["id"])
    assert until(line.finished)


@contextmanager
def _poisoned(line: Line, seat: str) -> Iterator[None]:
    """Whoever books this seat meets an error that nobody has thought of."""
    row, column = seat.split()
    with psycopg.connect(line.running.database_urls["order"], autocommit=True) as database:
        database.execute(
            b"CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'poison'; END $$"
        )
        database.execute(
            "CREATE TRIGGER poison BEFORE INSERT ON bookings FOR EACH ROW"
            f" WHEN (NEW.seat_row = {row} AND NEW.seat_column = {column}) EXECUTE FUNCTION poison()".encode()
        )
        try:
            yield
        finally:
            database.execute("DROP FUNCTION poison CASCADE")


def test_what_no_gateway_has_written_is_passed_over(line: Line) -> None:
    before = _malformed(line)
    (victim,) = line.join(line.wish(line.shop.seats()))
    line.broker.send(ADMISSIONS, b"nonsense", None)
    line.broker.send(ADMISSIONS, b"{}", headers={"request": b'{"userId": "nobody"}'})
    (place,) = line.join(line.wish(line.shop.seats()))
    assert [outcome[1] for outcome in line.served([victim, place])] == [200, 200]
    assert until(lambda: _malformed(line) == before + 3)
    assert until(line.finished)


def _malformed(line: Line) -> float:
    return metric(line.dispatcher_url, "gateway_malformed_records_total")


def test_tickets_wait_for_an_order_service_that_is_away_for_long(line: Line) -> None:
    assert until(line.is_calm)
    user, people = line.shop.make.person(), [line.shop.make.person() for _ in range(2 * WINDOW)]
    line.process("order").kill()
    back_at = time.monotonic() + AWAY_SECONDS
    try:
        places = line.join(*(line.wish(line.shop.seats(), user=one) for one in people))
        # Who comes meanwhile gets a ticket as always; how it stands can be told again when order-service is back.
        answer = user.send("POST", BOOKINGS, json=line.shop.request(user, line.shop.seats()))
        assert answer.status_code == 202, answer.text
        told = user.send("GET", answer.headers["location"])
        refused(told, 503, 5000)
        assert int(told.headers["retry-after"]) >= 1
        time.sleep(max(0.0, back_at - time.monotonic()))
        assert line.broker.committed(GROUP).get(0, 0) <= places[0].offset
    finally:
        line.process("order").respawn()
    assert {outcome[1] for outcome in line.served(places)} == {200}
    assert until(lambda: user.get(answer.headers["location"])["status"] == "DONE")
    assert until(line.finished)


def test_a_show_that_cannot_be_looked_up_holds_up_nobody(line: Line) -> None:
    """concert-service fails at this one alone, as it would at a bug."""
    make = line.shop.make
    broken = make.schedule(make.concert(price=PRICE), make.venue())
    make.rows("concert", "UPDATE schedules SET concert_date = '0044-03-15 BC' WHERE id = %s RETURNING id", broken["id"])
    wishes = [line.wish(line.shop.seats()) for _ in range(6)]
    wishes.insert(3, line.wish(["1 1"], show=broken))
    outcomes = line.served(line.join(*wishes))
    assert [(status, http_status) for status, http_status, _ in outcomes] == [
        ("DONE", 200), ("DONE", 200), ("DONE", 200), ("FAILED", None), ("DONE", 200), ("DONE", 200), ("DONE", 200),
    ]  # fmt: skip
    assert until(line.finished)


def test_the_dispatcher_goes_on_when_it_could_not_commit(line: Line) -> None:
    """Kafka goes away while a window is under way and nothing more is in the line: the dispatcher waits to fetch."""
    assert until(line.finished)
    with line.paused("order"):
        places = line.join(*(line.wish(line.shop.seats()) for _ in range(3)))
        time.sleep(1)  # five times as long as it waits for more: by now it has asked order-service
        line.process("kafka").kill()
    assert line.served(places)
    time.sleep(7)  # longer than it tries to commit
    line.process("kafka").respawn()
    assert until(line.broker_answers, 40)
    assert until(line.finished, 40)
    assert {outcome[1] for outcome in line.served(line.join(line.wish(line.shop.seats())))} == {200}


@pytest.mark.parametrize("name", ["dispatcher", "order", "kafka", "gateway", "redis"])
def test_a_crash_loses_no_ticket_and_answers_none_twice(line: Line, name: str) -> None:
    show = line.shop.make.schedule(line.shop.make.concert(price=110_000), line.shop.make.venue(row=100, col=100))
    wishes = [line.wish([f"{1 + n % 100} {1 + n // 150}"], show=show) for n in range(20 * WINDOW)]
    with line.paused("dispatcher"):
        places = line.join(*wishes)
    assert until(lambda: any(line.outcomes(places)), 30)
    line.process(name).kill()
    line.process(name).respawn()
    early = {place.ticket_id: outcome for place, outcome in zip(places, line.outcomes(places), strict=True) if outcome}
    outcomes = line.served(places, 60)
    assert {outcome[1] for outcome in outcomes} <= {200, 400}
    for place, outcome in zip(places, outcomes, strict=True):
        assert early.get(place.ticket_id, outcome) == outcome, "a ticket had two outcomes"
    assert line.holders(show["id"]) == _winners(places)
    assert until(line.finished)
    ticket = places[-1]
    path = f"{line.running.gateway_url}/monitor/tickets/{ticket.ticket_id}"
    headers = {"authorization": f"Bearer {ticket.wish.user.token}"}

    def can_be_read() -> bool:
        try:
            return plain.get(path, headers=headers).status_code == 200
        except httpx.TransportError:  # the gateway is only just coming back
            return False

    assert until(can_be_read, 30)


def _winners(places: list[Place]) -> dict[str, int]:
    """Of each seat: whoever asked for it first."""
    winners: dict[str, int] = {}
    for place in places:
        (seat,) = json.loads(place.wish.body)["seat"]
        winners.setdefault(seat, place.wish.user.user_id)
    return winners
