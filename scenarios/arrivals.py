"""The clock of an open load: which request, or visit, is due when."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Surge:
    """A time in which the rate is a multiple of what it is before and afterwards."""

    times: float
    at_seconds: float
    """From the start of the clock; of a load, from the start of its measured part."""
    seconds: float

    def after(self, seconds: float) -> Surge:
        """The same, so much later."""
        return Surge(self.times, self.at_seconds + seconds, self.seconds)


@dataclass(frozen=True)
class Arrivals:
    """Request n (from 0) is due when n requests' worth of the rate have passed, whatever became of those before it."""

    began: float
    """By ``time.perf_counter``."""
    rate: float
    """Requests a second."""
    surge: Surge | None = None

    def due(self, number: int) -> float:
        """When request ``number`` is due."""
        passed = number / self.rate
        if self.surge is not None and passed > self.surge.at_seconds:
            # The clock of a steady rate runs ``times`` as fast while the surge lasts.
            beyond = passed - self.surge.at_seconds
            within = min(beyond, self.surge.seconds * self.surge.times)
            passed = self.surge.at_seconds + within / self.surge.times + (beyond - within)
        return self.began + passed

    def number(self, due: float) -> int:
        """The request that was due at about ``due``: a moment measured afterwards is a little late."""
        return round(self._count(due))

    def between(self, first: float, last: float) -> range:
        """The requests that are due from ``first`` on, and before ``last``."""
        return range(*(max(0, math.ceil(self._count(moment))) for moment in (first, last)))

    def _count(self, moment: float) -> float:
        """Requests that are due before ``moment``: the inverse of ``due``."""
        passed = moment - self.began
        if self.surge is not None and passed > self.surge.at_seconds:
            within = min(passed - self.surge.at_seconds, self.surge.seconds)
            passed += within * (self.surge.times - 1.0)
        return passed * self.rate
