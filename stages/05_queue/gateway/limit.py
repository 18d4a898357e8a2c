"""How many requests may be in flight, and when overload begins and ends.

The limit adapts by additive increase and multiplicative decrease, as TCP's window does (Chiu and Jain 1989; for servers
"Overload control for scaling WeChat microservices", 2018): by one while answers are quick, by a tenth while not.
"""

from __future__ import annotations

import time

from prometheus_client import Counter, Gauge

from gateway.line import WATCH_SECONDS

OVERLOADS = Counter("gateway_overload_changes", "Times that overload has begun or ended.", ["to"])
IN_FLIGHT = Gauge("gateway_in_flight", "Requests under way.", ["kind"])
PLACES = Gauge("gateway_limit", "Requests that may be under way before others wait, or are refused.", ["kind"])

# Two decreases are at least so far apart, so that the second sees what the first has done.
_ROUND_SECONDS = 0.1
# Overload ends when this share of the places is taken at most, and nobody has waited for so long.
CALM_SHARE, CALM_SECONDS = 0.5, 1.0


class Limit:
    """Between ``at_least`` and ``at_most`` requests in flight, steering towards a latency; fixed if the two are one."""

    def __init__(self, kind: str, at_least: int, at_most: int, target_seconds: float = 0.0) -> None:
        IN_FLIGHT.labels(kind).set_function(lambda: self.in_flight)
        PLACES.labels(kind).set_function(lambda: int(self.places))
        self._least, self._most, self._target = at_least, at_most, target_seconds
        self.in_flight = 0
        self.restart()

    def restart(self) -> None:
        """Forgets what was learned."""
        self.places = float(max(self._least, self._most // 2))
        self._mean_seconds, self._decreased = 0.0, 0.0

    def enter(self) -> bool:
        """Takes a place, if one is free; whoever has one must ``leave`` it."""
        if self.in_flight >= int(self.places):
            return False
        self.in_flight += 1
        return True

    def leave(self, seconds: float | None = None, *, well: bool = True) -> None:
        """Gives a place back, and tells how long the answer took; ``well`` is false if the service gave none."""
        was_busy = self.in_flight > self.places / 2
        self.in_flight -= 1
        if seconds is None:
            return
        # The mean goes back about as many answers as there are places: those that were asked for together.
        self._mean_seconds += (seconds - self._mean_seconds) / self.places
        now = time.monotonic()
        if not well or self._mean_seconds > self._target:
            if now >= self._decreased + _ROUND_SECONDS:
                self.places, self._decreased = max(self._least, self.places * 0.9), now
        elif was_busy:  # that places stand empty says nothing of more places
            self.places = min(self._most, self.places + 1 / self.places)


class Overload:
    """Whether requests join the line without asking to pass: begins at once, ends with hesitation (hysteresis).

    That nobody is overtaken does not depend on it. It must not end at the first moment at which nobody waits: under
    steady load the line is empty between two windows of the dispatcher, and who passed then would take turns with it.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit, self._calm_looks = limit, 0
        self.is_on = False

    def begin(self) -> None:
        """There was no place for somebody, or somebody waits."""
        self._calm_looks = 0
        if not self.is_on:
            self.is_on = True
            OVERLOADS.labels("on").inc()

    def looked(self, waiting: int) -> None:
        """The watch has seen so many records waiting."""
        if waiting:
            self.begin()
        elif self._limit.in_flight <= CALM_SHARE * self._limit.places:
            self._calm_looks += 1
            if self.is_on and self._calm_looks * WATCH_SECONDS >= CALM_SECONDS:
                self.is_on = False
                OVERLOADS.labels("off").inc()
        else:
            self._calm_looks = 0
