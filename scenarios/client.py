"""The clients of all scenarios: one logged-in person each, on one kept-alive connection."""

from __future__ import annotations

import itertools
import random
import time
from typing import Any

from gevent.event import Event
from locust import FastHttpUser
from locust.event import EventHook
from locust.exception import StopUser

from scenarios.arrivals import Arrivals
from scenarios.model import ACCEPTED, Attempt
from scenarios.plan import current_plan
from scenarios.tickets import ticket_of

_numbers = itertools.count()

# Nobody waits longer for a web page; an answer that takes longer is not an answer.
ANSWER_SECONDS = 60.0

# An open load's request that is this late is not sent any more: nobody is there to send it.
DROPPED_AFTER_SECONDS = 10.0

starting_gun = Event()
"""Set when the clients of a burst may send, and when an open load's clock starts; ``clock`` says when that was."""
closing_time = Event()
"""Set when no further turn of an open load shall be waited for."""
clock: list[Arrivals] = []
"""The clock of an open load, once it runs."""

attempts: list[Attempt] = []
"""Every request of this process that changes something, in the order of sending."""

dropped = EventHook()  # type: ignore[no-untyped-call]
"""Fired for a request of an open load that is not sent, because it is too late to."""


def fire(arrivals: Arrivals | None = None) -> None:
    """Lets the load begin; an open one by its clock."""
    if arrivals is not None:
        clock[:] = [arrivals]
    starting_gun.set()


def send_home() -> None:
    """Ends an open load: whoever waits for their turn leaves, and whoever is at work as soon as they have done it."""
    closing_time.set()


class PlatformUser(FastHttpUser):
    """A buyer with a bearer token of their own.

    ``random`` is seeded by the plan's seed and the user's number: two runs send the same requests in the same order.
    Tasks call ``ask`` or ``change``; when the request is sent, the plan's shape decides. A task that is a visit of
    several requests calls the later ones with ``follows``: they are due when the one before has been answered.
    """

    abstract = True
    connection_timeout = ANSWER_SECONDS
    network_timeout = ANSWER_SECONDS
    max_retries = 0
    max_redirects = 0

    def on_start(self) -> None:
        plan = current_plan()
        self.plan = plan
        self.number = next(_numbers)
        self.random = random.Random(plan.seed * 1_000_003 + self.number)
        self.headers = {"Authorization": f"Bearer {plan.tokens[self.number % len(plan.tokens)]}"}
        self._left = 1 if plan.shape == "burst" else plan.requests_per_user
        self._turn = self.number
        # Nothing here needs a cookie (the token stands for a ticket's); to look for them takes a client 4% of its CPU.
        self.client.client.cookiejar = None

    def ask(self, method: str, path: str, name: str, *, follows: bool = False, context: Any = None) -> Any:
        """Sends one request that changes nothing when its time has come, and returns Locust's response.

        Raises:
            StopUser: this client has made all the requests that the plan grants it, or the load is over.
        """
        context = {**self._when(follows), **(context or {})}
        return self.client.request(method, path, name=name, headers=self.headers, context=context)

    def change(
        self, method: str, path: str, name: str, json: Any = None, *, user: int, key: str = "", follows: bool = False
    ) -> Attempt:
        """Sends one request that changes something, as user number ``user``, and remembers it for the audit.

        A request that has to wait in line is answered with a ticket, which the attempt keeps; nobody waits here.

        Raises:
            StopUser: as ``ask``.
        """
        context = self._when(follows)
        attempt = Attempt(method, path, user, key, json, time.time())
        attempts.append(attempt)
        sent = {"Authorization": f"Bearer {self.plan.tokens[user % len(self.plan.tokens)]}"}
        if key:
            sent["Idempotency-Key"] = key
        response = self.client.request(method, path, name=name, json=json, headers=sent, context=context)
        attempt.answered_at = time.time()
        attempt.status = response.status_code or 0
        attempt.body = response.text or ""
        if attempt.status == ACCEPTED:
            headers: Any = response.headers
            attempt.ticket = ticket_of(headers.get)
        return attempt

    def _when(self, follows: bool) -> dict[str, Any]:
        """Waits until the next request is due; what the recorder is to know of that."""
        if follows:
            return {"follows": True}
        if self._left is not None:
            if self._left == 0:
                raise StopUser
            self._left -= 1
        return {"late_ms": 1000 * self._wait_for_turn()}

    def _wait_for_turn(self) -> float:
        """Waits until the next request is due; seconds by which it is late.

        Raises:
            StopUser: the load ends before that.
        """
        if self.plan.shape == "closed":
            return 0.0
        starting_gun.wait()
        if self.plan.rate is None:
            return 0.0
        while True:
            # Client k has the turns k, k + users, k + 2 users … of one clock that ticks at the plan's rate.
            due = clock[0].due(self._turn)
            self._turn += self.plan.users
            early = due - time.perf_counter()
            if early > 0 and closing_time.wait(early):
                raise StopUser
            late = max(0.0, time.perf_counter() - due)
            if late <= DROPPED_AFTER_SECONDS:
                return late
            dropped.fire()  # type: ignore[no-untyped-call]
