"""The simulator as a process, and the calls that the tests make."""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

from harness.supervise import ManagedProcess, Supervisor, free_port
from payment_simulator.checkout_key import payment_key_for
from tests import plain
from tests.polling import until as until

ROOT = Path(__file__).parents[2]
SECRET_KEY = "test_sk_0123456789abcdef0123456789abcdef"
SEED = 7

_serial = itertools.count(1)


def new_order(prefix: str = "") -> str:
    """An order id that no other test uses."""
    return f"{next(_serial)}_{prefix}abcdef"


class Simulator:
    """A running simulator, without made latency unless its settings or ``switch`` ask for some."""

    def __init__(self, supervisor: Supervisor, folder: Path, **settings: str) -> None:
        self.ledger_file = folder / "ledger.sqlite3"
        port = free_port()
        self.process: ManagedProcess = supervisor.spawn(
            "payment-simulator",
            [sys.executable, "-m", "common.serve", "payment_simulator"],
            env={
                "PATH": os.environ["PATH"],
                "PAYMENT_PORT": str(port),
                "PAYMENT_SECRET_KEY": SECRET_KEY,
                "PAYMENT_LEDGER": str(self.ledger_file),
                "PAYMENT_LATENCY_MEDIAN_MS": "0",
                "PAYMENT_SEED": str(SEED),
                **settings,
            },
            cwd=ROOT,
            log=folder / "simulator.log",
        )
        self.url = f"http://127.0.0.1:{port}"
        # Loading the certificates that plain HTTP does not need would take longer than most tests.
        self.http = plain.Client(base_url=self.url, auth=(SECRET_KEY, ""), timeout=20)
        self.anyone = plain.Client(base_url=self.url, timeout=20)

    def close(self) -> None:
        self.http.close()
        self.anyone.close()

    def await_ready(self) -> None:
        assert until(lambda: self._ready() or not self.process.alive()), self.process.tail()
        assert self.process.alive(), self.process.tail()

    def _ready(self) -> bool:
        try:
            return self.http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def check_out(self, order_id: str, amount: int = 15_000) -> str:
        answer = self.anyone.post("/simulator/checkouts", json={"orderId": order_id, "amount": amount})
        assert answer.status_code == 200, answer.text
        payment_key: str = answer.json()["paymentKey"]
        return payment_key

    def confirm(
        self, order_id: str, amount: int = 15_000, *, payment_key: str | None = None, key: str | None = None
    ) -> httpx.Response:
        """Confirms a checkout, by default the one whose key the rule makes."""
        return self.http.post(
            "/v1/payments/confirm",
            json=confirm_body(order_id, amount, payment_key),
            headers={"Idempotency-Key": key} if key is not None else {},
        )

    def paid(self, amount: int = 15_000, prefix: str = "") -> str:
        """The payment key of a new approved payment."""
        answer = self.confirm(new_order(prefix), amount)
        assert answer.status_code == 200, answer.text
        payment_key: str = answer.json()["paymentKey"]
        return payment_key

    def cancel(self, payment_key: str, amount: int | None = None, *, key: str | None = None) -> httpx.Response:
        body: dict[str, Any] = {"cancelReason": "구매자 변심"}
        if amount is not None:
            body["cancelAmount"] = amount
        return self.http.post(
            f"/v1/payments/{payment_key}/cancel",
            json=body,
            headers={"Idempotency-Key": key} if key is not None else {},
        )

    def switch(self, **faults: float | bool) -> None:
        """Changes what is injected; what is left out is as configured."""
        answer = self.http.put("/simulator/faults", json=faults)
        assert answer.status_code == 200, answer.text

    def ledger(self) -> dict[str, list[dict[str, Any]]]:
        """Every row by its type, and that the answer was whole."""
        rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        lines = [json.loads(line) for line in self.http.get("/simulator/ledger").text.splitlines()]
        end = lines.pop()
        assert end == {"type": "end", "lines": len(lines)}
        for line in lines:
            rows[line.pop("type")].append(line)
        return rows

    def summary(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.get("/simulator/summary").json()
        return answer


def confirm_body(order_id: str, amount: int = 15_000, payment_key: str | None = None) -> dict[str, Any]:
    return {"paymentKey": payment_key or payment_key_for(order_id, amount), "orderId": order_id, "amount": amount}


def code(answer: httpx.Response) -> tuple[int, str]:
    """HTTP status and Toss's error code."""
    body = answer.json()
    assert set(body) == {"code", "message"}, body
    return answer.status_code, body["code"]
