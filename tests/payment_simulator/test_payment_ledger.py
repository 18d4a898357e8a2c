"""The ledger: it survives what happens to the process, adds up, and can be read back."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from payment_simulator import ledger
from payment_simulator.checkout_key import payment_key_for
from payment_simulator.errors import Refusal, TossError
from payment_simulator.group_commit import LedgerThread, Work
from payment_simulator.model import Checkout
from payment_simulator.provider import Provider
from payment_simulator.schema import open_for_reading, open_for_writing
from payment_simulator.settings import PaymentSettings
from tests.payment_simulator.conftest import StartSimulator
from tests.payment_simulator.running import confirm_body, new_order, until

CONFIRMS = 300


def test_what_was_answered_survives_a_kill_exactly_once(start_simulator: StartSimulator) -> None:
    simulator = start_simulator()
    simulator.await_ready()
    orders = [new_order() for _ in range(CONFIRMS)]
    answered: dict[str, bytes] = {}
    enough = threading.Event()

    def confirm(order: str) -> None:
        try:
            answer = simulator.confirm(order, key=f"k-{order}")
        except httpx.TransportError:
            return
        assert answer.status_code == 200, answer.text
        answered[order] = answer.content
        if len(answered) >= CONFIRMS // 4:
            enough.set()

    with ThreadPoolExecutor(32) as threads:
        running = [threads.submit(confirm, order) for order in orders]
        assert enough.wait(30)
        simulator.process.kill()
        for future in running:
            future.result()
    assert CONFIRMS // 4 <= len(answered) < CONFIRMS

    with closing(open_for_reading(simulator.ledger_file)) as left:
        kept = Counter(row["order_id"] for row in left.execute("SELECT order_id FROM payments"))
    assert max(kept.values()) == 1
    assert set(answered) <= set(kept)

    simulator.process.respawn()
    simulator.await_ready()
    with ThreadPoolExecutor(16) as threads:
        again = dict(zip(orders, threads.map(lambda o: simulator.confirm(o, key=f"k-{o}"), orders), strict=True))
    assert {answer.status_code for answer in again.values()} == {200}
    assert {order: again[order].content for order in answered} == answered
    rows = simulator.ledger()
    assert sorted(payment["orderId"] for payment in rows["payment"]) == sorted(orders)
    assert {payment["status"] for payment in rows["payment"]} == {"DONE"}
    assert len(rows["idempotencyKey"]) == CONFIRMS


def test_the_ledger_reads_back_what_was_done(start_simulator: StartSimulator) -> None:
    simulator = start_simulator()
    simulator.await_ready()
    paid, refunded, parted = simulator.paid(1_000), simulator.paid(2_000), simulator.paid(4_000)
    declined = new_order("decline-")
    simulator.confirm(declined, 8_000)
    simulator.cancel(refunded, key="all")
    simulator.cancel(parted, 500)
    simulator.cancel(parted, 700)
    waiting = simulator.check_out(new_order(), 16_000)

    rows = simulator.ledger()
    payments = {payment["paymentKey"]: (payment["status"], payment["balanceAmount"]) for payment in rows["payment"]}
    assert payments == {
        paid: ("DONE", 1_000),
        refunded: ("CANCELED", 0),
        parted: ("PARTIAL_CANCELED", 2_800),
        payment_key_for(declined, 8_000): ("ABORTED", 8_000),
    }
    assert {checkout["paymentKey"] for checkout in rows["checkout"]} == {*payments, waiting}
    assert [(c["paymentKey"], c["number"], c["amount"]) for c in rows["cancel"]] == [
        (refunded, 1, 2_000),
        (parted, 1, 500),
        (parted, 2, 700),
    ]
    (key,) = rows["idempotencyKey"]
    assert (key["address"], key["key"], key["status"]) == (f"POST /v1/payments/{refunded}/cancel", "all", 200)
    summary = simulator.summary()
    assert summary["payments"]["ABORTED"] == {"count": 1, "totalAmount": 8_000, "balanceAmount": 8_000}
    del summary["payments"]
    assert summary == {
        "checkouts": 5,
        "approvals": 3,
        "approvedAmount": 7_000,
        "cancels": 3,
        "canceledAmount": 3_200,
        "balanceAmount": 3_800,
        "idempotencyKeys": 1,
    }


def test_a_stop_lets_requests_in_flight_finish(start_simulator: StartSimulator) -> None:
    simulator = start_simulator(PAYMENT_LATENCY_MEDIAN_MS="700", PAYMENT_LATENCY_SIGMA="0")
    simulator.await_ready()
    begun = 'payment_injected_latency_seconds_count{operation="confirm"} 1.0'
    with ThreadPoolExecutor(1) as thread:
        order = new_order()
        body = confirm_body(order)
        answer = thread.submit(simulator.http.post, "/v1/payments/confirm", json=body)
        assert until(lambda: begun in simulator.anyone.get("/metrics").text)
        simulator.process.terminate()
        assert answer.result().status_code == 200
    with closing(open_for_reading(simulator.ledger_file)) as left:
        assert [row["order_id"] for row in left.execute("SELECT order_id FROM payments")] == [order]
        assert left.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_readiness_is_that_the_ledger_can_be_written_to(tmp_path: Path) -> None:
    """SQLite's ``query_only`` stands for a disk that has become read-only: beginning works, writing does not."""

    async def run() -> None:
        settings = PaymentSettings(secret_key=SecretStr("s" * 32), ledger=tmp_path / "ledger.sqlite3")
        provider = Provider(settings)
        async with provider.running():
            await provider.check()
            await provider.writer.run(lambda connection: connection.execute("PRAGMA query_only = ON"))
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                await provider.check()

    asyncio.run(run())


def test_a_ledger_that_cannot_be_used_is_named_in_one_sentence(start_simulator: StartSimulator, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("this is no database, but it is longer than the hundred bytes of SQLite's header " * 3)
    foreign = tmp_path / "foreign.sqlite3"
    with closing(sqlite3.connect(foreign)) as other:
        other.execute("CREATE TABLE notes (line TEXT)")
    started = {file: start_simulator(PAYMENT_LEDGER=str(file)) for file in (text, foreign, tmp_path)}
    for file, simulator in started.items():
        assert simulator.process.wait(20) == 1
        (line,) = simulator.process.tail()
        assert line.startswith(f"payment_simulator: the ledger {file} cannot be opened: ")


def test_a_broken_piece_of_work_fails_alone(tmp_path: Path) -> None:
    """Pieces that share a transaction with it are committed all the same, and their callers are told so."""

    def insert(amount: int) -> Work[int]:
        row = (f"key{amount}", "order", "name", amount, 0)
        return lambda connection: connection.execute("INSERT INTO checkouts VALUES (?, ?, ?, ?, ?)", row).rowcount

    async def work() -> list[object]:
        writer = LedgerThread(open_for_writing(tmp_path / "ledger.sqlite3"), "write")
        gate = threading.Event()
        first = asyncio.create_task(writer.run(lambda _: gate.wait(20)))
        # While the first one holds the thread, the others gather to be one group; an amount of 0 breaks a CHECK.
        group = [asyncio.create_task(writer.run(insert(amount))) for amount in (1, 0, 2)]
        await asyncio.sleep(0)
        gate.set()
        assert await first
        results: list[object] = [*await asyncio.gather(*group, return_exceptions=True)]
        await writer.close()
        return results

    one, broken, two = asyncio.run(work())
    assert (one, two) == (1, 1)
    assert isinstance(broken, sqlite3.IntegrityError)
    with closing(open_for_reading(tmp_path / "ledger.sqlite3")) as left:
        assert [row["amount"] for row in left.execute("SELECT amount FROM checkouts ORDER BY amount")] == [1, 2]


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("check out"), st.integers(1, 3)),
        st.tuples(st.just("confirm"), st.integers(0, 6), st.booleans()),
        st.tuples(st.just("cancel"), st.integers(0, 6), st.one_of(st.none(), st.integers(1, 120))),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_the_sums_hold_whatever_is_asked(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[object, ...]]
) -> None:
    """Every order is paid at most once, nothing above the balance is given back, and it all adds up."""
    with closing(open_for_writing(tmp_path_factory.mktemp("sums") / "ledger.sqlite3")) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        moment = ledger.Moment(1_000, 1_000)
        checkouts: list[Checkout] = []
        for step in steps:
            with suppress(Refusal):
                _take(connection, moment, checkouts, step)
        approved = connection.execute(
            "SELECT p.order_id, p.total_amount, p.balance_amount, coalesce(sum(c.amount), 0), min(c.balance_after)"
            " FROM payments p LEFT JOIN cancels c USING (payment_key) WHERE p.status <> 'ABORTED'"
            " GROUP BY p.payment_key"
        ).fetchall()
        assert len({row[0] for row in approved}) == len(approved)
        for _, total, balance, given_back, lowest in approved:
            assert balance + given_back == total
            assert lowest in (None, balance)
        aborted = "SELECT count(*) FROM cancels JOIN payments USING (payment_key) WHERE status = 'ABORTED'"
        assert connection.execute(aborted).fetchone() == (0,)


def _take(
    connection: sqlite3.Connection, moment: ledger.Moment, checkouts: list[Checkout], step: tuple[object, ...]
) -> None:
    match step:
        case ("check out", int(order)):
            checkouts.append(ledger.make_checkout(connection, moment, f"order-{order}", 100, "name"))
        case ("confirm", int(index), bool(declined)) if index < len(checkouts):
            chosen = checkouts[index]
            request = ledger.Confirm(chosen.payment_key, chosen.order_id, chosen.amount)
            ledger.confirm(connection, moment, request, TossError.REJECT_CARD_PAYMENT if declined else None)
        case ("cancel", int(index), amount) if index < len(checkouts):
            assert amount is None or isinstance(amount, int)
            ledger.cancel(connection, moment, checkouts[index].payment_key, amount, "reason")
