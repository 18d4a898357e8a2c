"""The clients of all scenarios: one logged-in person each, on one kept-alive connection."""

from __future__ import annotations

import itertools
import random

from locust import FastHttpUser
from locust.exception import StopUser

from scenarios.plan import current_plan

_numbers = itertools.count()

# Nobody waits longer for a web page; an answer that takes longer is not an answer.
ANSWER_SECONDS = 60.0


class PlatformUser(FastHttpUser):
    """A buyer with a bearer token of their own.

    ``random`` is seeded by the plan's seed and the user's number: two runs send the same requests in the same order.
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
        self._left = plan.requests_per_user

    def get(self, path: str, name: str) -> None:
        """One GET; ends this user once it has made all the requests that the plan grants it."""
        if self._left is not None:
            if self._left == 0:
                raise StopUser
            self._left -= 1
        self.client.get(path, headers=self.headers, name=name)
