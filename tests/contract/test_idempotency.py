"""``Idempotency-Key``: the first answer again, whatever has happened since, and the work done once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import httpx
import pytest
import redis

from common.identity import Role
from harness.launch import RunningStage
from tests.contract.client import Api, outcome, refused, succeeded
from tests.contract.making import CONCERTS, Maker
from tests.contract.ordering import BOOKINGS, COMPLETE, PAYMENTS, PRICE, Shop, eventually

_numbers = count(1)


def new_key() -> str:
    """A key that no other test uses."""
    return f"key-{next(_numbers)}"


def send(api: Api, method: str, path: str, body: Any, key: str) -> httpx.Response:
    content = {} if body is None else {"json": body}
    return api.send(method, path, headers={"Idempotency-Key": key}, **content)


def book(api: Api, body: Any, key: str) -> httpx.Response:
    return send(api, "POST", BOOKINGS, body, key)


def same(first: httpx.Response, second: httpx.Response) -> bool:
    """Status and body, byte for byte."""
    return (first.status_code, first.content) == (second.status_code, second.content)


def test_a_repeated_booking_is_the_same_booking(shop: Shop, buyer: Api, make: Maker) -> None:
    body, key = shop.request(buyer, shop.seats(2)), new_key()
    first = book(buyer, body, key)
    assert len(succeeded(first)) == 2
    for _ in range(3):
        assert same(first, book(buyer, body, key))
    assert len(make.rows("order", "SELECT 1 FROM bookings WHERE user_id = %s", buyer.user_id)) == 2


def test_it_is_the_first_answer_even_when_everything_has_changed(shop: Shop, buyer: Api, seller: Api) -> None:
    concert = shop.make.concert(seller, price=PRICE)
    schedule = shop.make.schedule(concert)
    body = {"scheduleId": schedule["id"], "userId": buyer.user_id, "price": PRICE, "seat": ["1 1"]}
    key = new_key()
    first = book(buyer, body, key)
    (booked,) = succeeded(first)
    shop.cancel(buyer, booked["id"])
    seller.delete(f"{CONCERTS}/{concert['id']}")
    fresh = buyer.send("POST", BOOKINGS, json=body)
    assert eventually(lambda: buyer.send("POST", BOOKINGS, json=body).status_code == 404), fresh.text
    assert same(first, book(buyer, body, key))


def test_a_repetition_is_neither_a_sale_nor_a_conflict(shop: Shop, buyer: Api) -> None:
    names = ("order_seats_booked_total", "order_seat_conflicts_total")
    before = [shop.count(name) for name in names]
    body, key = shop.request(buyer, shop.seats(2)), new_key()
    booked = succeeded(book(buyer, body, key))
    book(buyer, body, key)
    for booking in booked:
        assert outcome(shop.cancel(buyer, booking["id"])) == (200, 0)
    book(buyer, body, key)
    assert [shop.count(name) - old for name, old in zip(names, before, strict=True)] == [2, 0]


def test_the_language_of_the_first_answer_is_kept(shop: Shop, buyer: Api) -> None:
    body, key = shop.request(buyer, shop.seats()), new_key()
    headers = {"Idempotency-Key": key, "Accept-Language": "en"}
    first = buyer.send("POST", BOOKINGS, json=body, headers=headers)
    assert same(first, book(buyer, body, key))


REFUSALS: dict[str, tuple[dict[str, Any], tuple[int, int]]] = {
    "taken": ({}, (400, 4000)),
    "no seat": ({"seat": ["0 0"]}, (400, 4005)),
    "outside": ({"seat": ["9999 1"]}, (400, 4005)),
    "twice": ({"seat": ["5 1009", "5 1009"]}, (400, 4004)),
    "price": ({"price": 1}, (400, 1001)),
    "no show": ({"scheduleId": 999_999_999}, (404, 3000)),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_is_repeated_too(kind: str, shop: Shop, buyer: Api, make: Maker) -> None:
    (seat,) = shop.seats()
    rival = make.person()
    (held,) = rival.post(BOOKINGS, shop.request(rival, [seat]))
    change, expected = REFUSALS[kind]
    body, key = shop.request(buyer, [seat]) | change, new_key()
    first = book(buyer, body, key)
    assert outcome(first) == expected
    shop.cancel(rival, held["id"])
    assert same(first, book(buyer, body, key))
    assert make.rows("order", "SELECT 1 FROM bookings WHERE user_id = %s", buyer.user_id) == []
    # Under another key it is another request.
    if kind == "taken":
        assert len(succeeded(book(buyer, body, new_key()))) == 1


def test_many_at_once_get_one_booking_and_one_answer(shop: Shop, buyer: Api, make: Maker) -> None:
    for _ in range(5):
        body, key = shop.request(buyer, shop.seats(3)), new_key()
        with ThreadPoolExecutor(12) as threads:
            answers = list(threads.map(lambda _, body=body, key=key: book(buyer, body, key), range(12)))
        answered = [answer for answer in answers if answer.status_code != 503]
        assert answered
        assert all(same(answered[0], answer) for answer in answered)
        assert len(succeeded(answered[0])) == 3
    assert len(make.rows("order", "SELECT 1 FROM bookings WHERE user_id = %s", buyer.user_id)) == 15


def test_a_key_is_for_one_request_only(shop: Shop, buyer: Api, make: Maker) -> None:
    body, key = shop.request(buyer, shop.seats()), new_key()
    (booked,) = succeeded(book(buyer, body, key))
    other = shop.request(buyer, shop.seats())
    refused(book(buyer, other, key), 409, 5001)
    payment = {"userId": buyer.user_id, "bookingIds": [booked["id"]]}
    refused(send(buyer, "POST", PAYMENTS, payment, key), 409, 5001)
    payment_id = shop.payment(buyer, [booked["id"]])
    refused(send(buyer, "PATCH", f"{PAYMENTS}/{payment_id}", None, key), 409, 5001)
    checkout = shop.check_out(payment_id)
    refused(send(buyer, "PATCH", COMPLETE, checkout.body, key), 409, 5001)
    assert shop.approved(checkout) == []
    assert len(make.rows("order", "SELECT 1 FROM bookings WHERE user_id = %s", buyer.user_id)) == 1


def test_a_refusal_binds_its_key_too(shop: Shop, buyer: Api, make: Maker) -> None:
    """Whatever it is refused for: another request under the same key is another request."""
    body, key = shop.request(buyer, shop.seats()), new_key()
    first = book(buyer, body | {"userId": buyer.user_id + 1}, key)
    refused(first, 403, 1000)
    refused(book(buyer, body, key), 409, 5001)
    assert same(first, book(buyer, body | {"userId": buyer.user_id + 1}, key))

    (booking_id,) = shop.book(buyer)
    for wrong, expected in (
        ({"userId": buyer.user_id, "bookingIds": [booking_id, booking_id]}, (400, 1001)),
        ({"userId": buyer.user_id + 1, "bookingIds": [booking_id]}, (403, 1000)),
    ):
        key = new_key()
        first = send(buyer, "POST", PAYMENTS, wrong, key)
        assert outcome(first) == expected
        right = {"userId": buyer.user_id, "bookingIds": [booking_id]}
        refused(send(buyer, "POST", PAYMENTS, right, key), 409, 5001)
        assert same(first, send(buyer, "POST", PAYMENTS, wrong, key))
    assert make.rows("order", "SELECT 1 FROM payments WHERE user_id = %s", buyer.user_id) == []


def test_a_payment_is_deleted_once(shop: Shop, buyer: Api, manager: Api) -> None:
    ids, checkout = shop.buy(buyer)
    path = f"{PAYMENTS}/{checkout.payment_id}"
    early, key = new_key(), new_key()
    refused(send(manager, "DELETE", path, None, early), 400, 4002)
    assert buyer.patch(path, None) == {}
    assert shop.bookings(ids) == ["CANCELED"]
    first = send(manager, "DELETE", path, None, key)
    assert succeeded(first) == {}
    assert same(first, send(manager, "DELETE", path, None, key))
    refused(send(manager, "DELETE", path, None, early), 400, 4002)
    manager.refused(404, 4003, "DELETE", path)
    refused(send(manager, "PATCH", path, None, key), 409, 5001)


def test_a_key_is_its_users_own(shop: Shop, make: Maker) -> None:
    key = new_key()
    buyers = [make.person(role) for role in Role]
    booked = {succeeded(book(buyer, shop.request(buyer, shop.seats()), key))[0]["id"] for buyer in buyers}
    assert len(booked) == len(buyers)


def test_the_same_request_written_differently_is_the_same(shop: Shop, buyer: Api) -> None:
    body, key = shop.request(buyer, shop.seats()), new_key()
    first = book(buyer, body, key)
    again = {**dict(reversed(body.items())), "concertId": 7}
    assert same(first, book(buyer, again, key))


def test_a_seat_that_is_no_unicode_is_no_seat_with_a_key_either(shop: Shop, buyer: Api) -> None:
    body = b'{"scheduleId": %d, "userId": %d, "price": %d, "seat": ["\\ud83d"]}'
    content = body % (shop.schedule["id"], buyer.user_id, PRICE)
    for headers in ({}, {"Idempotency-Key": new_key()}):
        answer = buyer.send("POST", BOOKINGS, content=content, headers={**headers, "Content-Type": "application/json"})
        refused(answer, 400, 4005)


@pytest.mark.parametrize("key", ["", "x" * 256], ids=["empty", "256"])
def test_a_key_is_1_to_255_characters(key: str, shop: Shop, buyer: Api) -> None:
    (problem,) = buyer.refused(
        400, 1001, "POST", BOOKINGS, json=shop.request(buyer, shop.seats()), headers={"Idempotency-Key": key}
    )
    assert problem["field"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["x", "y" * 255, "a b", "' OR 1=1 --", "%00", '{"a": "é"}'])
def test_a_key_may_be_anything_else(key: str, shop: Shop, buyer: Api) -> None:
    body = shop.request(buyer, shop.seats())
    headers = {b"Idempotency-Key": key.encode()}
    first, second = (buyer.send("POST", BOOKINGS, json=body, headers=headers) for _ in range(2))
    assert len(succeeded(first)) == 1
    assert same(first, second)


def test_a_key_is_forgotten_after_a_day(shop: Shop, buyer: Api, make: Maker) -> None:
    def age(by: str) -> None:
        query = "UPDATE idempotency_keys SET created_at = now() - %s::interval WHERE user_id = %s RETURNING key"
        assert make.rows("order", query, by, buyer.user_id)

    body, key = shop.request(buyer, shop.seats()), new_key()
    (booked,) = succeeded(book(buyer, body, key))
    age("23 hours 59 minutes")
    assert succeeded(book(buyer, body, key))[0]["id"] == booked["id"]
    age("24 hours 1 second")
    forget_tickets(make.platform)
    refused(book(buyer, body, key), 400, 4000)
    refused(book(buyer, body, key), 400, 4000)
    other = shop.request(buyer, shop.seats())
    age("25 hours")
    forget_tickets(make.platform)
    assert succeeded(book(buyer, other, key))[0]["id"] != booked["id"]


def forget_tickets(platform: RunningStage) -> None:
    """What Redis does after a day: any of these requests may have been given a ticket, if the stage was in overload."""
    if "dispatcher" not in platform.stage.workers:
        return
    with redis.Redis.from_url(platform.infrastructure.redis_url) as server:
        for name in server.scan_iter(f"{platform.prefix}:queued:*", count=10_000):
            server.delete(name)


def test_a_payment_is_made_and_paid_once(shop: Shop, buyer: Api) -> None:
    ids = shop.book(buyer, 2)
    body, key = {"userId": buyer.user_id, "bookingIds": ids}, new_key()
    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(lambda _: send(buyer, "POST", PAYMENTS, body, key), range(6)))
    assert all(same(made[0], answer) for answer in made)
    checkout = shop.check_out(succeeded(made[0])["paymentId"])

    key = new_key()
    with ThreadPoolExecutor(6) as threads:
        paid = list(threads.map(lambda _: send(buyer, "PATCH", COMPLETE, checkout.body, key), range(6)))
    assert [outcome(answer) for answer in paid] == [(200, 0)] * 6
    assert all(same(paid[0], answer) for answer in paid)
    assert shop.approved(checkout) == [2 * PRICE]

    key, path = new_key(), f"{PAYMENTS}/{checkout.payment_id}"
    with ThreadPoolExecutor(6) as threads:
        canceled = list(threads.map(lambda _: send(buyer, "PATCH", path, None, key), range(6)))
    assert [outcome(answer) for answer in canceled] == [(200, 0)] * 6
    assert shop.given_back(checkout) == [PRICE, PRICE]
    # Without the key it is another request, and comes too late.
    buyer.refused(400, 4002, "PATCH", path)
    assert same(canceled[0], send(buyer, "PATCH", path, None, key))
    assert same(paid[0], send(buyer, "PATCH", COMPLETE, checkout.body, new_key())) is False


def test_a_refused_payment_is_refused_again(shop: Shop, buyer: Api) -> None:
    ids, checkout = shop.checked_out(buyer)
    wrong, key = checkout.body | {"amount": 1}, new_key()
    first = send(buyer, "PATCH", COMPLETE, wrong, key)
    refused(first, 400, 4006)
    refused(send(buyer, "PATCH", COMPLETE, checkout.body, key), 409, 5001)
    assert succeeded(send(buyer, "PATCH", COMPLETE, checkout.body, new_key())) == {}
    assert same(first, send(buyer, "PATCH", COMPLETE, wrong, key))

    _, declined = shop.checked_out(buyer, fault="decline-")
    key = new_key()
    first = send(buyer, "PATCH", COMPLETE, declined.body, key)
    refused(first, 400, 4006)
    assert same(first, send(buyer, "PATCH", COMPLETE, declined.body, key))
    assert shop.bookings(ids) == ["CONFIRMED"]


@pytest.fixture
def in_the_middle(hasty: Shop) -> Callable[[str], tuple[Api, str, Any, str]]:
    """A payment call whose first attempt the provider did not answer: who made it, its path, body and key."""

    def interrupted(what: str) -> tuple[Api, str, Any, str]:
        guest, key = hasty.make.person(), new_key()
        path: str
        if what == "paying":
            _, checkout = hasty.checked_out(guest, 2, "error-")
            path, body = COMPLETE, checkout.body
            refused(send(guest, "PATCH", path, body, key), 503, 5000)
        else:
            _, checkout = hasty.buy(guest, 2, "cancelerror-")
            path, body = f"{PAYMENTS}/{checkout.payment_id}", None
            hasty.begun(send(guest, "PATCH", path, body, key))
        return guest, path, body, key

    return interrupted


@pytest.mark.parametrize("what", ["paying", "cancelling"])
def test_503_is_never_repeated_and_the_next_try_goes_on(
    what: str, hasty: Shop, in_the_middle: Callable[[str], tuple[Api, str, Any, str]]
) -> None:
    guest, path, body, key = in_the_middle(what)
    answers: list[httpx.Response] = []

    def done() -> bool:
        answers.append(send(guest, "PATCH", path, body, key))
        return answers[-1].status_code != 503

    assert eventually(done)
    assert succeeded(answers[-1]) == {}
    assert same(answers[-1], send(guest, "PATCH", path, body, key))


@pytest.mark.parametrize("what", ["paying", "cancelling"])
def test_the_next_try_succeeds_even_if_a_worker_was_first(
    what: str, hasty: Shop, in_the_middle: Callable[[str], tuple[Api, str, Any, str]]
) -> None:
    guest, path, body, key = in_the_middle(what)
    end = "COMPLETED" if what == "paying" else "CANCELED"
    mine = "SELECT status FROM payments WHERE user_id = %s"
    assert eventually(lambda: hasty.make.rows("order", mine, guest.user_id)[0]["status"] == end)
    assert succeeded(send(guest, "PATCH", path, body, key)) == {}


def test_a_booking_answered_503_may_be_tried_again_and_one_that_was_made_is_repeated(hasty: Shop) -> None:
    """Without concert-service nothing can be booked, but what was booked before can be told again."""
    guest, key, unanswered = hasty.make.person(), new_key(), new_key()
    # Of the first show order-service remembers something, of the second it has never heard.
    shows = [hasty.make.schedule({"id": hasty.schedule["concertId"]}) for _ in range(2)]
    body, other, unheard_of = (
        {"scheduleId": show["id"], "userId": guest.user_id, "price": PRICE, "seat": [seat]}
        for show, seat in ((shows[0], "1 1"), (shows[0], "1 2"), (shows[1], "1 1"))
    )
    first = book(guest, body, key)
    assert len(succeeded(first)) == 1
    (concert,) = hasty.platform.processes["concert"]
    concert.kill()
    try:
        refused(book(guest, unheard_of, unanswered), 503, 5000)
        kept = hasty.make.rows("order", "SELECT key FROM idempotency_keys WHERE user_id = %s", guest.user_id)
        assert [row["key"] for row in kept] == [key]
        assert same(first, book(guest, body, key))
        # Not even what was remembered of the show is needed.
        assert eventually(lambda: book(guest, other, new_key()).status_code == 503)
        assert same(first, book(guest, body, key))
    finally:
        concert.respawn()
    assert eventually(lambda: book(guest, unheard_of, unanswered).status_code == 200)
    second = book(guest, unheard_of, unanswered)
    assert len(succeeded(second)) == 1
    assert eventually(lambda: guest.send("GET", f"{CONCERTS}/{shows[0]['concertId']}").status_code == 200)
