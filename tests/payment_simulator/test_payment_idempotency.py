"""``Idempotency-Key``: the first answer again, and one request at a time."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from payment_simulator.idempotency import LIFETIME_MS
from tests.payment_simulator.running import Simulator, code, confirm_body, new_order


def test_the_same_key_gets_the_first_answer(simulator: Simulator) -> None:
    order = new_order()
    first = simulator.confirm(order, key=f"c-{order}")
    again = simulator.confirm(order, key=f"c-{order}")
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert first.json()["status"] == "DONE"

    payment_key = first.json()["paymentKey"]
    canceled = simulator.cancel(payment_key, 5_000, key="part")
    assert simulator.cancel(payment_key, 5_000, key="part").content == canceled.content
    assert simulator.http.get(f"/v1/payments/{payment_key}").json()["balanceAmount"] == 10_000


def test_a_refusal_is_replayed_too(simulator: Simulator) -> None:
    order = new_order()
    key = simulator.check_out(order)
    assert simulator.cancel(key, key="early").status_code == 403
    assert simulator.confirm(order, payment_key=key).status_code == 200
    assert code(simulator.cancel(key, key="early")) == (403, "NOT_CANCELABLE_PAYMENT")
    assert simulator.cancel(key, key="another").json()["status"] == "CANCELED"


def test_the_body_is_not_compared(simulator: Simulator) -> None:
    """As Toss documents it: key, address, method and API key make a request the same, and nothing else."""
    first, other = new_order(), new_order()
    answer = simulator.confirm(first, key=f"shared-{first}")
    replayed = simulator.confirm(other, key=f"shared-{first}")
    assert replayed.content == answer.content
    assert code(simulator.http.get(f"/v1/payments/orders/{other}")) == (404, "NOT_FOUND_PAYMENT")


def test_the_address_is_compared(simulator: Simulator) -> None:
    first, second = simulator.paid(), simulator.paid()
    for payment_key in (first, second):
        answer = simulator.cancel(payment_key, key="one-key")
        assert (answer.json()["paymentKey"], answer.json()["status"]) == (payment_key, "CANCELED")


def test_a_key_has_at_most_300_characters(simulator: Simulator) -> None:
    order = new_order()
    assert code(simulator.confirm(order, key="k" * 301)) == (400, "INVALID_IDEMPOTENCY_KEY")
    assert simulator.confirm(order, key="k" * 300).status_code == 200


def test_an_unreadable_request_does_not_use_the_key_up(simulator: Simulator) -> None:
    order = new_order()
    headers = {"Idempotency-Key": f"u-{order}"}
    assert simulator.http.post("/v1/payments/confirm", content="{", headers=headers).status_code == 400
    assert simulator.confirm(order, key=f"u-{order}").status_code == 200


def test_the_same_key_at_the_same_time(simulator: Simulator) -> None:
    simulator.switch(latencyMedianMs=1_000, sigma=0)
    order = new_order()
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: simulator.confirm(order, key=f"t-{order}"), range(8)))

    done = [answer for answer in answers if answer.status_code == 200]
    busy = [answer for answer in answers if answer.status_code != 200]
    assert len({answer.content for answer in done}) == 1
    assert busy
    assert {code(answer) for answer in busy} == {(409, "IDEMPOTENT_REQUEST_PROCESSING")}
    assert simulator.confirm(order, key=f"t-{order}").content == done[0].content


def test_without_a_key_only_one_of_many_confirms_succeeds(simulator: Simulator) -> None:
    order = new_order()
    body = confirm_body(order)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: simulator.http.post("/v1/payments/confirm", json=body), range(16)))
    refused = [code(answer) for answer in answers if answer.status_code != 200]
    assert refused == [(400, "ALREADY_PROCESSED_PAYMENT")] * 15


def test_a_key_is_forgotten_after_its_lifetime(simulator: Simulator) -> None:
    key = simulator.paid(1_000)
    assert simulator.cancel(key, 400, key="aged").json()["balanceAmount"] == 600
    with closing(sqlite3.connect(simulator.ledger_file, timeout=10)) as ledger, ledger:
        ledger.execute(
            "UPDATE idempotency_keys SET created_ms = created_ms - ? WHERE address = ? AND key = 'aged'",
            (LIFETIME_MS, f"POST /v1/payments/{key}/cancel"),
        )
    assert simulator.cancel(key, 400, key="aged").json()["balanceAmount"] == 200
