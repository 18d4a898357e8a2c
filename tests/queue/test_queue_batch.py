"""A queued booking is answered as a direct one would have been: byte for byte, and under the same keys."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from common.language import Language
from tests.contract.client import outcome, succeeded
from tests.contract.ordering import PRICE, over_show
from tests.queue.line import Line, Wish

# What is wrong with each, beside the body that is right but for it.
BAD_BODIES = [
    b"", b"null", b"[]", b"7", b'"seat"', b"{", b"\xff\xfe", b'{"seat": NaN', b"{}", b'{"scheduleId": "7"}',
    b'{"scheduleId": 1.0, "userId": true, "price": 0, "seat": []}',
    b'{"scheduleId": 99999999999999999999, "userId": 1, "price": 1, "seat": "1 1"}',
    '{"scheduleId": 1, "userId": 1, "price": -1, "seat": ["1 1", null, "\ud55c"]}'.encode(),
    b'{"scheduleId": 1, "userId": 1, "price": 1, "seat": ["\\ud800"]}',
]  # fmt: skip

CHANGES: list[dict[str, Any]] = [
    {"scheduleId": 999_999_999}, {"userId": 1}, {"price": 1}, {"seat": ["1 1", "1 1"]}, {"seat": ["1 9999"]},
    {"seat": ["01 1"]}, {"seat": ["x"]}, {"seat": ["1 1"] * 11}, {"concertId": 3, "price": 7},
]  # fmt: skip


def _direct(line: Line, wish: Wish) -> tuple[int, bytes]:
    answer = line.direct(wish)
    return answer.status_code, answer.content


def _queued(line: Line, *wishes: Wish) -> list[tuple[int, bytes]]:
    """Status and body of the answers to wishes that have waited."""
    places = line.join(*wishes)
    assert {status for status, *_ in line.served(places)} == {"DONE"}
    query = "SELECT ticket_id, user_id, http_status, body FROM tickets WHERE ticket_id = ANY(%s)"
    rows = line.shop.make.rows("order", query, [place.ticket_id for place in places])
    found = {row["ticket_id"]: row for row in rows}
    assert [found[place.ticket_id]["user_id"] for place in places] == [wish.user.user_id for wish in wishes]
    return [(found[place.ticket_id]["http_status"], found[place.ticket_id]["body"].encode()) for place in places]


@pytest.mark.parametrize("language", Language)
def test_refusals_are_the_direct_ones_byte_for_byte(line: Line, language: Language) -> None:
    user = line.shop.make.person()
    right = line.shop.request(user, line.shop.seats())
    bodies = BAD_BODIES + [json.dumps(right | change).encode() for change in CHANGES]
    past = over_show(line.shop.make)
    bodies.append(json.dumps(right | {"scheduleId": past["id"]}).encode())
    wishes = [Wish(user, body, right["scheduleId"], language=language) for body in bodies]
    assert _queued(line, *wishes) == [_direct(line, wish) for wish in wishes]


def test_a_taken_seat_is_refused_as_directly(line: Line) -> None:
    seats = line.shop.seats(3)
    line.shop.make.booking(line.shop.schedule, seats[1])
    wish = line.wish(seats)
    assert _queued(line, wish) == [_direct(line, wish)]
    assert not {seats[0], seats[2]} & set(line.holders(line.shop.schedule["id"])), "all or none"


def test_bookings_answer_in_the_order_of_the_request(line: Line) -> None:
    user, seats = line.shop.make.person(), line.shop.seats(10)[::-1]
    ((_, content),) = _queued(line, line.wish(seats, user=user))
    body = json.loads(content)
    assert [booking["seat"] for booking in body["data"]] == seats
    direct = succeeded(line.direct(line.wish(line.shop.seats(10), user=user)))
    assert [list(booking) for booking in body["data"]] == [list(booking) for booking in direct]
    assert body["data"][0].keys() == direct[0].keys()
    (first, second) = body["data"][0], direct[0]
    assert {name: first[name] for name in first if name not in ("id", "seat")} == {
        name: second[name] for name in second if name not in ("id", "seat")
    }
    query = "SELECT created_by, expires_at > now() AS holds FROM bookings WHERE id = %s"
    assert line.shop.make.rows("order", query, first["id"]) == [{"created_by": user.user_id, "holds": True}]


def test_a_key_has_one_answer_however_its_requests_come(line: Line) -> None:
    user = line.shop.make.person()
    mine = [line.wish(line.shop.seats(), user=user, key=f"key-{number}") for number in range(3)]
    directly = _direct(line, mine[0])
    queued = _queued(line, mine[0], mine[1], mine[1], mine[2])
    assert queued[0] == directly
    assert queued[1] == queued[2] != queued[3]
    assert [_direct(line, wish) for wish in mine] == [queued[0], queued[1], queued[3]]
    assert (
        line.holders(line.shop.schedule["id"]).items()
        >= {json.loads(wish.body)["seat"][0]: user.user_id for wish in mine}.items()
    )


def test_a_key_of_another_request_is_refused(line: Line) -> None:
    user = line.shop.make.person()
    wishes = [line.wish(line.shop.seats(), user=user, key="one-key") for _ in range(2)]
    first, second = _queued(line, *wishes)
    assert (first[0], second[0], json.loads(second[1])["code"]) == (200, 409, 5001)
    assert _direct(line, wishes[1]) == second
    elsewhere = line.wish(line.shop.seats(), key="one-key")
    assert _queued(line, elsewhere)[0][0] == 200, "a key is its user's"


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_that_is_none_is_refused_as_directly(line: Line, key: str) -> None:
    wish = line.wish(line.shop.seats(), key=key)
    wishes = [wish, replace(wish, body=b"{}"), replace(wish, body=b"{")]
    assert _queued(line, *wishes) == [_direct(line, wish) for wish in wishes]


def test_of_two_who_want_a_seat_the_earlier_has_it(line: Line) -> None:
    seats = line.shop.seats(3)
    first, second, third = (line.wish(wanted) for wanted in (seats[:2], seats[1:], seats[2:]))
    answers = _queued(line, first, second, third)
    assert [status for status, _ in answers] == [200, 400, 200], "who gets nothing holds nothing"
    assert answers[1] == _direct(line, second)


def test_a_refusal_is_kept_under_its_key(line: Line) -> None:
    user, seats = line.shop.make.person(), line.shop.seats()
    line.shop.make.booking(line.shop.schedule, seats[0])
    wish = line.wish(seats, user=user, key="refused")
    (queued,) = _queued(line, wish)
    line.shop.make.rows(
        "order", "UPDATE bookings SET status = 'CANCELED' WHERE seat_row = %s AND seat_column = %s RETURNING id",
        *map(int, seats[0].split()),
    )  # fmt: skip
    assert _queued(line, wish) == [queued] == [_direct(line, wish)]


def test_a_key_that_has_outlived_its_time_is_new(line: Line) -> None:
    user = line.shop.make.person()
    wishes = [line.wish(line.shop.seats(), user=user, key="old") for _ in range(2)]
    assert _queued(line, wishes[0])[0][0] == 200
    aged = "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE user_id = %s RETURNING key"
    line.shop.make.rows("order", aged, user.user_id)
    assert _queued(line, wishes[1])[0][0] == 200


def test_direct_and_queued_buyers_of_the_same_seats_never_share_one(line: Line) -> None:
    show = line.shop.make.schedule(line.shop.make.concert(price=PRICE), line.shop.make.venue(row=10, col=20))
    seats = [f"{row} {column}" for row in range(1, 11) for column in range(1, 21)]
    directly = [line.wish([seat], show=show) for seat in seats]
    queued = [line.wish([seat], show=show) for seat in seats]
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(lambda wish: outcome(line.direct(wish)), directly)
        batches = [_queued(line, *queued[start : start + 20]) for start in range(0, len(queued), 20)]
        told = list(answers)
    got = {seat for seat, direct in zip(seats, told, strict=True) if direct == (200, 0)}
    for seat, (status, content) in zip(seats, chain.from_iterable(batches), strict=True):
        if status == 200:
            assert seat not in got
            got.add(seat)
        else:
            assert json.loads(content)["code"] == 4000
    assert {answer for answer in told if answer != (200, 0)} <= {(400, 4000)}
    assert set(line.holders(show["id"])) == got == set(seats)
