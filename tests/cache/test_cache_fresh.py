"""What is read is never older than the last acknowledged change, and seats are at most a second behind a booking."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.cache.audience import Audience
from tests.cache.theatre import PRICE, Theatre
from tests.contract.making import CONCERTS, SCHEDULES, VENUES, number
from tests.contract.ordering import BOOKINGS
from tests.polling import until

STALE_SECONDS = 1.0
# The clocks of the service, of the cache server and of the test are not read at the same moment.
DELIVERY_SECONDS = 0.1


def test_every_read_sees_every_change_that_was_acknowledged_before_it(theatre: Theatre) -> None:
    async def load() -> None:
        await asyncio.sleep(3)

    hits = {kind: theatre.counted("hit", kind) for kind in ("concert-page", "concert-search", "concert", "seats")}
    audience = Audience(theatre)
    asyncio.run(audience.run(during=load))
    assert len(audience.guests) > 1
    assert min(audience.price.acknowledged - PRICE, audience.second.acknowledged) > 1
    assert min(audience.reads.values()) > 20, audience.reads
    for kind, before in hits.items():
        assert theatre.counted("hit", kind) > before, f"no {kind} came from the cache: nothing was tested"


def test_each_kind_of_change_is_seen_by_the_very_next_read(theatre: Theatre) -> None:
    """One after the other, with everything in the cache before each."""
    make, manager = theatre.make, theatre.manager
    word = f"change{number()}x"
    concert, venue = make.concert(concertName=word), make.venue()
    schedule = make.schedule(concert, venue)
    searching, listing = f"{CONCERTS}/search?concert-name={word}", f"{CONCERTS}?size=3&sort=id,desc"
    detail, seats = f"{CONCERTS}/{concert['id']}", f"{SCHEDULES}/{schedule['id']}"
    later: dict[str, Any] = {}

    def remembered() -> bool:
        kinds = {"concert-search": searching, "concert-page": listing, "concert": detail, "seats": seats}
        hits = {kind: theatre.counted("hit", kind) for kind in kinds}
        for path in kinds.values():
            manager.get(path)
        return all(theatre.counted("hit", kind) > before for kind, before in hits.items())

    def evenings() -> list[str]:
        return [evening["concertTime"] for evening in manager.get(detail)["schedules"]]

    def another() -> None:
        later["concert"] = make.concert(concertName=f"{word} again")

    def another_evening() -> None:
        later["schedule"] = make.schedule(concert, venue, concertTime="21:00:00")

    def somewhere_else() -> None:
        later["venue"] = make.venue()
        make.schedule(concert, later["venue"], concertTime="22:00:00")

    def newest() -> str:
        name: str = manager.get(listing)["content"][0]["concertName"]
        return name

    def starts() -> str:
        moment: str = manager.get(seats)["concertTime"]
        return moment

    steps: list[tuple[Callable[[], object], Callable[[], object], object]] = [
        (lambda: manager.patch(detail, {"price": 7}), lambda: manager.get(searching)[0]["price"], 7),
        (another, lambda: len(manager.get(searching)), 2),
        (lambda: make.concert(concertName="the last"), newest, "the last"),
        (lambda: manager.delete(f"{CONCERTS}/{later['concert']['id']}"), lambda: len(manager.get(searching)), 1),
        (lambda: manager.patch(seats, {"concertTime": "20:00:00"}), starts, "20:00:00"),
        (another_evening, evenings, ["20:00:00", "21:00:00"]),
        (lambda: manager.patch(seats, {"concertTime": "20:30:00"}), evenings, ["20:30:00", "21:00:00"]),
        (lambda: manager.delete(f"{SCHEDULES}/{later['schedule']['id']}"), evenings, ["20:30:00"]),
        (lambda: manager.patch(f"{VENUES}/{venue['id']}", {"row": 77}), lambda: manager.get(seats)["stage"]["row"], 77),
        (somewhere_else, evenings, ["20:30:00", "22:00:00"]),
        (lambda: manager.delete(f"{VENUES}/{later['venue']['id']}"), evenings, ["20:30:00"]),
    ]  # fmt: skip
    for change, read, expected in steps:
        assert read() != expected
        assert until(remembered)
        change()
        assert read() == expected
    manager.delete(detail)
    manager.refused(404, 3002, "GET", detail)
    manager.refused(404, 3000, "GET", seats)
    assert manager.get(searching) == []


@contextmanager
def locked(theatre: Theatre, package: str, table: str) -> Iterator[None]:
    """Nobody reads the table meanwhile."""
    url = theatre.make.platform.database_urls[package]
    with psycopg.connect(url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield


def held_up(theatre: Theatre, package: str) -> int:
    """How many statements wait for a lock; the round of the expiry worker, which may come by meanwhile, is not one."""
    query = """
        SELECT count(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query NOT LIKE '%%expires_at <= now()%%'
    """
    return int(theatre.make.rows(package, query)[0]["n"])


def test_a_slow_reader_that_began_before_a_change_puts_nothing_old_back(theatre: Theatre) -> None:
    """It has read the schedule, and waits for the seats while the schedule is changed."""
    schedule = theatre.make.schedule()
    path = f"{SCHEDULES}/{schedule['id']}"
    manager = theatre.manager
    manager.get(CONCERTS)
    with ThreadPoolExecutor() as pool:
        with locked(theatre, "order", "bookings"):
            slow = pool.submit(manager.get, path)
            assert until(lambda: held_up(theatre, "order") == 1)
            assert manager.patch(path, {"concertTime": "20:00:00"})["concertTime"] == "20:00:00"
            # Who asks from now on must not share what the slow one brings.
            prompt = pool.submit(manager.get, path)
            assert until(lambda: held_up(theatre, "order") == 2)
        assert slow.result()["concertTime"] == "19:30:00"
        assert prompt.result()["concertTime"] == "20:00:00"
    over = time.monotonic() + 1.2
    while time.monotonic() < over:
        assert manager.get(path)["concertTime"] == "20:00:00"


def test_seats_are_at_most_a_second_behind(theatre: Theatre) -> None:
    """Readers ask all the time; what they see is held against what was acknowledged a second before they asked."""
    make = theatre.make
    schedule = make.schedule(make.concert(price=1000), make.venue(row=9, col=9))
    path = f"{SCHEDULES}/{schedule['id']}"
    stop = threading.Event()
    reads: list[tuple[float, float, set[str]]] = []
    hits = theatre.counted("hit", "seats")

    def read() -> None:
        reader = make.person()
        while not stop.is_set():
            began = time.monotonic()
            seats = set(reader.get(path)["seatList"])
            reads.append((began, time.monotonic(), seats))
            time.sleep(0.005)

    def write(column: int) -> list[tuple[str, float, float, float]]:
        buyer, seen = make.person(), []
        for row in range(1, 5):
            seat = f"{row} {column}"
            body = {"scheduleId": schedule["id"], "userId": buyer.user_id, "price": 1000, "seat": [seat]}
            (booking,) = buyer.post(BOOKINGS, body)
            booked = time.monotonic()
            time.sleep(0.15 + STALE_SECONDS if row % 2 else 0.15)
            cancelling = time.monotonic()
            buyer.patch(f"{BOOKINGS}/cancel/{booking['id']}", {})
            assert until(lambda: make.rows("order", query, booking["id"])[0]["status"] == "CANCELED")  # noqa: B023
            seen.append((seat, booked, cancelling, time.monotonic()))
        return seen

    query = "SELECT status FROM bookings WHERE id = %s"
    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        try:
            events = [
                event for writer in [pool.submit(write, column) for column in (1, 2, 3)] for event in writer.result()
            ]
            time.sleep(STALE_SECONDS + 0.2)
        finally:
            stop.set()
        for reader in readers:
            reader.result()

    bound = STALE_SECONDS + DELIVERY_SECONDS
    judged = 0
    for began, ended, seats in reads:
        for seat, booked, cancelling, canceled in events:
            if booked + bound < began and ended < cancelling:
                judged += 1
                assert seat in seats, f"{began - booked:.3f} s after it was booked"
            if canceled + bound < began:
                judged += 1
                assert seat not in seats, f"{began - canceled:.3f} s after it was given up"
    assert judged > 100
    assert theatre.counted("hit", "seats") > hits + len(reads) / 2, "most of them came from the cache"
