"""The clock of an open load: which request is due when."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Arrivals:
    """Request n (from 0) is due at ``began + n / rate``, whatever became of those before it."""

    began: float
    """By ``time.perf_counter``."""
    rate: float
    """Requests a second."""

    def number(self, due: float) -> int:
        """The request that was due at about ``due``: a moment measured afterwards is a little late."""
        return round((due - self.began) * self.rate)

    def between(self, first: float, last: float) -> range:
        """The requests that are due from ``first`` on, and before ``last``."""
        return range(*(max(0, math.ceil((moment - self.began) * self.rate)) for moment in (first, last)))
