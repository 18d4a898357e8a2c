"""After the load: waits until every ticket that was handed out has an outcome, and reads each as its owner."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from scenarios.model import Attempt, Course

WATCH_SECONDS = 0.25
"""Between two looks at the last ticket: ``finished`` is right to that."""
STALLED_SECONDS = 60.0
"""A line that has not moved for so long is given up; its tickets stay without an outcome, which the audit tells."""
READERS = 8
"""Owners who ask at once: enough to be done soon, and no load to speak of."""
TWICE = 50
"""Tickets that are read once more: their outcome has to be the same."""
_TIMEOUT_SECONDS = 10.0


@dataclass
class Drained:
    """The time between the end of the load and the last outcome."""

    seconds: float = 0.0
    ahead: list[tuple[float, int]] = field(default_factory=list)
    """How many were ahead of the last ticket, and when, in seconds since the epoch."""

    def course(self, measured_from: float) -> Course | None:
        """The same over time, for the report."""
        if not self.ahead:
            return None
        steps: dict[int, float] = {int(at - measured_from): float(ahead) for at, ahead in self.ahead}
        values = [steps.get(step) for step in range(max(steps) + 1)]
        return Course("Ahead of the last ticket (tickets)", 1.0, values)


def wait_for_last(
    attempts: Sequence[Attempt],
    gateway_url: str,
    tokens: Sequence[str],
    *,
    while_waiting: Callable[[], None],
    say: Callable[[str], None],
) -> Drained:
    """Returns when the last ticket in line has its outcome, or the line has stalled.

    ``while_waiting`` is called at each look, and may raise: a stage that has lost a process is not waited for.
    """
    began = time.monotonic()
    drained = Drained()
    line = sorted((one for one in attempts if one.ticket), key=lambda one: one.ticket.number if one.ticket else 0)
    last, staying = line[-1], [one for one in line if one.ticket and one.ticket.polled and not one.ticket.ended]
    moved, ahead = began, -1
    with _client(gateway_url) as client:
        looks = 0
        while time.monotonic() - moved < STALLED_SECONDS:
            while_waiting()
            position = _read(client, last, tokens, watched=looks > 0)
            _look_at_first(client, staying, tokens)
            if last.ticket is not None and last.ticket.ended:
                break
            if position is not None:
                drained.ahead.append((time.time(), position))
                say(f"draining, {position:,} ahead of the last ticket")
                if position != ahead:
                    ahead, moved = position, time.monotonic()
            looks += 1
            time.sleep(WATCH_SECONDS)
    drained.seconds = time.monotonic() - began
    return drained


def read_all(
    attempts: Sequence[Attempt],
    gateway_url: str,
    tokens: Sequence[str],
    *,
    while_waiting: Callable[[], None],
    say: Callable[[str], None],
) -> None:
    """Every ticket's outcome, read by its owner; some are read twice.

    Tickets are served in turn but not one at a time: those that have no outcome yet are asked for again, until none
    is left or nothing has come for a minute.
    """
    tickets = [attempt for attempt in attempts if attempt.ticket]
    waiting, moved, rounds = tickets, time.monotonic(), 0
    with _client(gateway_url) as client, ThreadPoolExecutor(READERS) as readers:
        while waiting and time.monotonic() - moved < STALLED_SECONDS:
            watched = rounds > 0
            asked = [readers.submit(_read, client, one, tokens, watched=watched) for one in waiting]
            _follow(asked, while_waiting, lambda done: say(f"reading outcomes, {done:,} of {len(tickets):,}"))
            left = [one for one in waiting if one.ticket and not one.ticket.ended]
            if len(left) < len(waiting):
                moved = time.monotonic()
            waiting, rounds = left, rounds + 1
            if waiting:
                time.sleep(WATCH_SECONDS)
        again = tickets[:: max(1, len(tickets) // TWICE)]
        _follow([readers.submit(_read, client, one, tokens) for one in again], while_waiting, lambda done: None)


def _look_at_first(client: httpx.Client, staying: list[Attempt], tokens: Sequence[str]) -> None:
    """Watches for those who stayed when the load ended, in the order of the line; the ended ones leave the list."""
    while staying:
        _read(client, staying[0], tokens, watched=True)
        if staying[0].ticket is not None and not staying[0].ticket.ended:
            return
        staying.pop(0)


def _follow(asked: Sequence[Future[int | None]], while_waiting: Callable[[], None], say: Callable[[int], None]) -> None:
    try:
        for done, future in enumerate(asked, start=1):
            while not future.done():
                while_waiting()
                with suppress(TimeoutError):
                    future.result(timeout=1.0)
            future.result()
            if done % 100 == 0:
                say(done)
    finally:
        for future in asked:
            future.cancel()


def _read(client: httpx.Client, attempt: Attempt, tokens: Sequence[str], *, watched: bool = False) -> int | None:
    """Reads the ticket of ``attempt`` as its owner; how many are ahead of it, if that is told.

    ``watched``: it had no outcome at the look before.
    """
    ticket = attempt.ticket
    assert ticket is not None, "only tickets are read"
    try:
        answer = client.get(ticket.location, headers={"Authorization": f"Bearer {tokens[attempt.user]}"})
    except httpx.TransportError:
        return None
    if ticket.read(answer.status_code, answer.text):
        if watched and ticket.ended_at is None:
            ticket.ended_at = time.time()
        return None
    with suppress(ValueError, KeyError, TypeError):
        return int(json.loads(answer.text)["data"]["position"])
    return None


def _client(gateway_url: str) -> httpx.Client:
    return httpx.Client(
        base_url=gateway_url,
        timeout=_TIMEOUT_SECONDS,
        limits=httpx.Limits(max_connections=READERS),
        trust_env=False,
        verify=False,  # no TLS: it would read all certificate authorities
    )
