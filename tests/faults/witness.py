"""Somebody who asks every service something, all the time, and looks at each answer whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from harness.run.cell import PASSWORD
from scenarios.model import CellState
from tests import plain
from tests.faults.answers import breach

PATIENCE_SECONDS = 45.0
"""Longer than the gateway waits for a service: who is left without an answer for so long has been forgotten."""

# So that asking is no load of its own: a login alone takes a service some 30 ms of CPU.
_PAUSE_SECONDS = 0.25
RECOVERY_SECONDS = 40.0
"""From the end of the load; a start takes one or two on an idle machine."""


@dataclass(frozen=True)
class Call:
    """One question, and the service that it needs."""

    name: str
    service: str
    method: str
    path: str
    json: Any = None


@dataclass(frozen=True)
class Seen:
    """What became of one question. Moments of the monotonic clock."""

    call: Call
    asked_at: float
    answered_at: float
    status: int
    """0 if the connection was dropped."""
    problem: str = ""
    """What is wrong with the answer by the contract, or why there is none."""


@dataclass
class Witness:
    """What one person has seen of a running platform, from several threads."""

    calls: Sequence[Call]
    seen: list[Seen] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)

    def add(self, answer: Seen) -> None:
        with self._news:
            self.seen.append(answer)
            self._news.notify_all()

    def wrong(self, *, may_drop: bool) -> list[str]:
        """Answers that are none of the contract's; a dropped connection is one, unless ``may_drop``."""
        bad = [answer for answer in self.seen if answer.problem and (answer.status or not may_drop)]
        return [f"{answer.call.name}: {answer.problem}" for answer in bad]

    def unavailable(self, service: str) -> int:
        """How often a call to that service was answered 503."""
        return sum(answer.call.service == service and answer.status == 503 for answer in self.seen)

    def dropped(self) -> int:
        """How often a connection ended without an answer."""
        return sum(answer.status == 0 for answer in self.seen)

    def longest_wait(self, service: str) -> float:
        """Seconds that an answer of that service took at most."""
        return max(answer.answered_at - answer.asked_at for answer in self.seen if answer.call.service == service)

    def await_recovery(self, since: float) -> float:
        """Returns when each call has succeeded after that moment, and none has failed since: when the last one did.

        Raises:
            AssertionError: one of them does not.
        """
        known = [call.name for call in self.calls]
        with self._news:
            back = self._news.wait_for(lambda: all(self._back(name, since) for name in known), RECOVERY_SECONDS)
        late = [name for name in known if not self._back(name, since)]
        assert back, f"{late} did not recover within {RECOVERY_SECONDS:.0f} s"
        return max(self._back(name, since) or since for name in known)

    def _back(self, name: str, since: float) -> float | None:
        """When the call succeeded first, having been asked since then, and after it had failed last."""
        back: float | None = None
        for answer in self.seen:
            if answer.call.name == name and answer.asked_at > since:
                if answer.status != 200:
                    back = None
                elif back is None:
                    back = answer.answered_at
        return back


def calls(state: CellState) -> Sequence[Call]:
    """Reads that need each of the services, and a login, which needs a thread of user-service as well."""
    buyer = state.dataset.load_users[0]
    login = {"email": buyer.email, "password": PASSWORD}
    return (
        Call("own account", "user", "GET", "/user-service/users"),
        Call("login", "user", "POST", "/user-service/auth/login", login),
        Call("concert", "concert", "GET", "/concert-service/concerts/2"),
        Call("seats", "order", "GET", "/concert-service/schedules/5"),
        Call("own bookings", "order", "GET", f"/order-service/bookings/me/{buyer.user_id}?size=2"),
    )


@contextmanager
def witnessing(state: CellState) -> Iterator[Witness]:
    """Each call is asked again and again for as long as the block lasts."""
    witness, stop = Witness(calls(state)), threading.Event()
    headers = {"Authorization": f"Bearer {state.tokens[0]}"}
    threads = [
        threading.Thread(target=_ask_on, args=(call, state.gateway_url, headers, witness, stop), name=call.name)
        for call in witness.calls
    ]
    for thread in threads:
        thread.start()
    try:
        yield witness
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _ask_on(call: Call, url: str, headers: Mapping[str, str], witness: Witness, stop: threading.Event) -> None:
    with plain.Client(base_url=url, headers=headers, timeout=PATIENCE_SECONDS) as client:
        while not stop.wait(_PAUSE_SECONDS):
            asked_at = time.monotonic()
            try:
                answer = client.request(call.method, call.path, json=call.json)
            except httpx.TransportError as lost:
                status, problem = 0, f"{type(lost).__name__}: {lost}"
            else:
                status, problem = answer.status_code, breach(answer) or ""
            witness.add(Seen(call, asked_at, time.monotonic(), status, problem))
