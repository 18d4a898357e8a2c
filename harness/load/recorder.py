"""Keeps what the clients saw: every request of the measured part, and a few whole answers for the audit."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from hdrh.histogram import HdrHistogram

from harness.load.result import ACCEPTED, DROPPED, OK, POLLED, REFUSED, UNANSWERED, WELL, LoadResult
from harness.store.samples import Sample
from scenarios import model
from scenarios.arrivals import Arrivals
from scenarios.model import Answer, Attempt

# An open load's request that is sent later than this is counted as late.
LATE_MS = 10.0

# What a person takes for an answer at once.
PROMPT_MS = 300.0

# 1 µs to 10 minutes at three significant digits.
_LOWEST_US, _HIGHEST_US, _DIGITS = 1, 600_000_000, 3


class _Seen(NamedTuple):
    """One request and what came of it."""

    at: float
    """When the answer came, in seconds since ``begin``."""
    latency_ms: float
    """From the moment when it was due, for an open load's; the sending included."""
    late_ms: float
    name: str
    status: int
    outcome: str
    arrival: bool
    """Whether an open load's clock decided when it was sent, and not the answer to the request before."""


class Recorder:
    """A listener of Locust's ``request`` event; it records from ``begin`` on.

    A request counts if its answer comes before ``end``: in a closed loop as many begin before the window as end behind
    it. An open load's counts if it was due in the window, and its answer is waited for: were it not, a slow answer
    would be left out for being slow. The later requests of a visit are due when the one before has been answered.
    """

    def __init__(self, keep_every: int, refusals: Collection[int] = ()) -> None:
        self._keep_every = keep_every
        self._refusals = frozenset(refusals)
        self._seen: list[_Seen] = []
        self.answers: list[Answer] = []
        self._begun: float | None = None
        self._ended = False
        self._arrivals: Arrivals | None = None
        self.seconds = 0.0
        self._succeeded = 0
        self._dropped = 0

    def begin(self, arrivals: Arrivals | None = None) -> None:
        """The measured part begins; ``arrivals`` is the clock of an open load."""
        self._arrivals = arrivals
        self._begun = time.perf_counter()

    def end(self) -> None:
        if self._begun is not None:
            self.seconds = time.perf_counter() - self._begun
            self._ended = True

    def __call__(
        self,
        request_type: str,
        name: str,
        response_time: float,
        exception: BaseException | None,
        response: Any = None,
        context: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if self._begun is None or (self._ended and self._arrivals is None):
            return
        # An open load's request counts from when it was due (Tene's "coordinated omission").
        told = context or {}
        late = told.get("late_ms", 0.0)
        at = time.perf_counter() - self._begun
        status = getattr(response, "status_code", 0) or 0
        outcome = self._outcome(status, exception, response, polled=bool(told.get("polls")))
        self._seen.append(_Seen(at, response_time + late, late, name, status, outcome, not told.get("follows")))
        if outcome is not OK:
            return
        self._succeeded += 1
        if (self._succeeded - 1) % self._keep_every == 0:
            parts = urlsplit(response.url)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            self.answers.append(Answer(request_type, path, response.text))

    def on_dropped(self) -> None:
        """A request of an open load was not sent."""
        if self._begun is not None:
            self._dropped += 1

    def waits(self) -> bool:
        """Whether requests of an open load that were due in the window have not been answered yet, or never will be."""
        return self._unanswered(self._counted()) > 0

    def samples(self) -> list[Sample]:
        """Every request that counts; ``started_s`` is relative to ``begin``."""
        return [
            Sample(seen.at - seen.latency_ms / 1000, seen.latency_ms, seen.name, seen.status, seen.outcome)
            for seen in self._counted()
        ]

    def result(self, attempts: list[Attempt]) -> LoadResult:
        """Counts, latencies and rates of what was recorded."""
        counted = self._counted()
        outcomes = Counter(seen.outcome for seen in counted)
        well_ms = [seen.latency_ms for seen in counted if seen.outcome in WELL]
        histogram, every = _histogram(well_ms), _histogram([seen.latency_ms for seen in counted])
        lost = self._unanswered(counted)
        dropped = min(self._dropped, lost)
        outcomes += Counter({DROPPED: dropped, UNANSWERED: lost - dropped})

        def percentile(share: float) -> float | None:
            return histogram.get_value_at_percentile(share) / 1000 if well_ms else None

        return LoadResult(
            seconds=self.seconds,
            outcomes=dict(outcomes),
            mean_ms=sum(well_ms) / len(well_ms) if well_ms else None,
            p50_ms=percentile(50),
            p95_ms=percentile(95),
            p99_ms=percentile(99),
            last_answer_ms=max((seen.at * 1000 for seen in counted), default=None),
            per_second_ok=self._per_second(lambda outcome: outcome == OK),
            per_second_refused=self._per_second(lambda outcome: outcome == REFUSED),
            per_second_accepted=self._per_second(lambda outcome: outcome == ACCEPTED),
            per_second_failed=self._per_second(lambda outcome: outcome not in WELL),
            late=sum(seen.late_ms > LATE_MS for seen in counted),
            dropped=dropped,
            p99_every_ms=every.get_value_at_percentile(99) / 1000 if counted else None,
            prompt=sum(latency <= PROMPT_MS for latency in well_ms),
            server_errors=sum(seen.status >= 500 for seen in counted),
            answers=self.answers,
            attempts=attempts,
        )

    def _counted(self) -> list[_Seen]:
        if self._arrivals is None or self._begun is None:
            return self._seen
        due, began = self._due(), self._begun
        number = self._arrivals.number

        def counts(seen: _Seen) -> bool:
            started = seen.at - seen.latency_ms / 1000
            return number(began + started) in due if seen.arrival else 0.0 <= started < self.seconds

        return [seen for seen in self._seen if counts(seen)]

    def _unanswered(self, counted: list[_Seen]) -> int:
        return max(0, len(self._due()) - sum(seen.arrival for seen in counted))

    def _due(self) -> range:
        """The requests of an open load that were due in the window."""
        if self._arrivals is None or self._begun is None:
            return range(0)
        return self._arrivals.between(self._begun, self._begun + self.seconds)

    def _per_second(self, wanted: Callable[[str], bool]) -> list[int]:
        """Answers that came in each second of the window, those that do not count included."""
        # Whole seconds only: a bucket that was measured for a moment would look like a collapse.
        buckets = [0] * max(1, int(self.seconds))
        for seen in self._seen:
            if seen.at < len(buckets) and wanted(seen.outcome):
                buckets[int(seen.at)] += 1
        return buckets

    def _outcome(self, status: int, exception: BaseException | None, response: Any, *, polled: bool) -> str:
        if exception is not None:
            return self._failure(status, exception, response)
        if status == model.ACCEPTED:
            return ACCEPTED
        if status == 200:
            return POLLED if polled else OK
        return self._failure(status, exception, response)

    def _failure(self, status: int, exception: BaseException | None, response: Any) -> str:
        """What the client saw that was no success, in words that can be counted."""
        if status == 0:
            name = type(exception).__name__ if exception is not None else "no answer"
            return "time-out" if "timeout" in name.lower() else f"connection: {name}"
        try:
            code = json.loads(response.text)["code"]
        except (ValueError, KeyError, TypeError):
            return f"HTTP {status}"
        return REFUSED if code in self._refusals and status < 500 else f"HTTP {status}, code {code}"


def _histogram(latencies_ms: Iterable[float]) -> HdrHistogram:
    histogram = HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)
    for latency in latencies_ms:
        histogram.record_value(min(_HIGHEST_US, max(_LOWEST_US, round(latency * 1000))))
    return histogram
