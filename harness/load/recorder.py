"""Keeps what the clients saw: every request of the measured part, and a few whole answers for the audit."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from hdrh.histogram import HdrHistogram

from harness.load.result import OK, REFUSED, LoadResult
from harness.store.samples import Sample
from scenarios.model import Answer, Attempt

# An open load's request that is sent later than this is counted as late.
LATE_MS = 10.0

# 1 µs to 10 minutes at three significant digits.
_LOWEST_US, _HIGHEST_US, _DIGITS = 1, 600_000_000, 3


class Recorder:
    """A listener of Locust's ``request`` event; it records between ``begin`` and ``end``.

    A request counts where its answer comes: in a closed loop as many begin before the window as end behind it.
    """

    def __init__(self, keep_every: int, refusals: Collection[int] = ()) -> None:
        self._keep_every = keep_every
        self._refusals = frozenset(refusals)
        self._requests: list[tuple[float, float, str, int, str]] = []
        self.answers: list[Answer] = []
        self._begun: float | None = None
        self.seconds = 0.0
        self._succeeded = 0
        self._late = 0
        self._dropped = 0

    def begin(self) -> None:
        self._begun = time.perf_counter()

    def end(self) -> None:
        if self._begun is not None:
            self.seconds = time.perf_counter() - self._begun
            self._begun = None

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
        if self._begun is None:
            return
        # An open load's request counts from when it was due (Tene's "coordinated omission").
        late = (context or {}).get("late_ms", 0.0)
        self._late += late > LATE_MS
        response_time += late
        since = time.perf_counter() - self._begun
        status = getattr(response, "status_code", 0) or 0
        outcome = OK if exception is None and status == 200 else self._other(status, exception, response)
        self._requests.append((since, response_time, name, status, outcome))
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

    def samples(self) -> list[Sample]:
        """Every recorded request; ``started_s`` counts from ``begin``."""
        return [
            Sample(since - latency / 1000, latency, name, status, outcome)
            for since, latency, name, status, outcome in self._requests
        ]

    def result(self, attempts: list[Attempt]) -> LoadResult:
        """Counts, latencies and rates of what was recorded."""
        histogram = HdrHistogram(_LOWEST_US, _HIGHEST_US, _DIGITS)
        # Whole seconds only: a bucket that was measured for a moment would look like a collapse.
        buckets = max(1, int(self.seconds))
        succeeded, failed = [0] * buckets, [0] * buckets
        outcomes: Counter[str] = Counter()
        total_ms = 0.0
        for since, latency, _, _, outcome in self._requests:
            outcomes[outcome] += 1
            if outcome == OK:
                histogram.record_value(max(_LOWEST_US, round(latency * 1000)))
                total_ms += latency
            if since < buckets and outcome != REFUSED:
                (succeeded if outcome == OK else failed)[int(since)] += 1
        count = outcomes[OK]

        def percentile(share: float) -> float | None:
            return histogram.get_value_at_percentile(share) / 1000 if count else None

        return LoadResult(
            seconds=self.seconds,
            outcomes=dict(outcomes),
            mean_ms=total_ms / count if count else None,
            p50_ms=percentile(50),
            p95_ms=percentile(95),
            p99_ms=percentile(99),
            per_second_ok=succeeded,
            per_second_failed=failed,
            late=self._late,
            dropped=self._dropped,
            answers=self.answers,
            attempts=attempts,
        )

    def _other(self, status: int, exception: BaseException | None, response: Any) -> str:
        """What the client saw that was not success, in words that can be counted."""
        if status == 0:
            name = type(exception).__name__ if exception is not None else "no answer"
            return "time-out" if "timeout" in name.lower() else f"connection: {name}"
        try:
            code = json.loads(response.text)["code"]
        except (ValueError, KeyError, TypeError):
            return f"HTTP {status}"
        return REFUSED if code in self._refusals and status < 500 else f"HTTP {status}, code {code}"
