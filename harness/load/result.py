"""What one Locust process reports of one cell."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scenarios.model import Answer, Attempt
from scenarios.tickets import Ticket

OK = "ok"
REFUSED = "refused"
ACCEPTED = "accepted"
POLLED = "polled"
TICKET = "ticket: "
"""A failure that begins so was told to wait, and no business answer came of it."""
WELL = (OK, REFUSED, ACCEPTED, POLLED)
"""Outcomes that are answers: a success, a definite business answer else, a ticket (202), a look at a ticket."""
DROPPED = "not sent: every client was waiting"
UNANSWERED = "no answer in time"


@dataclass(frozen=True)
class LoadResult:
    """Counts and latencies of the measured part. Latencies are milliseconds of requests that were answered well.

    Percentiles come from an HDR histogram (Tene, "How NOT to Measure Latency"; 3 significant digits).
    """

    seconds: float
    outcomes: dict[str, int]
    """How often each outcome was seen; ``ok`` is an answer of 200, ``refused`` a definite business answer else,
    ``accepted`` a ticket."""
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    last_answer_ms: float | None = None
    """Milliseconds from the start until the last client had its answer, or had given up."""
    per_second_ok: list[int] = field(default_factory=list)
    per_second_refused: list[int] = field(default_factory=list)
    per_second_accepted: list[int] = field(default_factory=list)
    per_second_failed: list[int] = field(default_factory=list)
    late: int = 0
    """Requests of an open load that were sent more than 10 ms after they were due; their latency counts from then."""
    dropped: int = 0
    """Requests of an open load that were never sent, because every client was still waiting for an answer."""
    p99_every_ms: float | None = None
    """Of every request that was sent, failures included."""
    prompt: int = 0
    """Requests that were answered well within 300 ms, of an open load from when they were due."""
    server_errors: int = 0
    """Answers of 5xx."""
    answers: list[Answer] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def succeeded(self) -> int:
        return self.outcomes.get(OK, 0)

    @property
    def refused(self) -> int:
        return self.outcomes.get(REFUSED, 0)

    @property
    def accepted(self) -> int:
        """Tickets that were handed out, whatever came of them."""
        lost = sum(count for kind, count in self.outcomes.items() if kind.startswith(TICKET))
        return self.outcomes.get(ACCEPTED, 0) + lost

    @property
    def requests(self) -> int:
        """All that were sent, or should have been."""
        return sum(self.outcomes.values())

    @property
    def failed(self) -> int:
        """Requests without a definite answer: 5xx, time-outs, broken connections."""
        return self.requests - sum(self.outcomes.get(kind, 0) for kind in WELL)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> LoadResult:
        content = json.loads(path.read_text())
        answers = [Answer(**answer) for answer in content.pop("answers")]
        attempts = [_attempt(attempt) for attempt in content.pop("attempts")]
        return cls(**content, answers=answers, attempts=attempts)


def _attempt(content: dict[str, Any]) -> Attempt:
    ticket = content.pop("ticket")
    return Attempt(**content, ticket=Ticket(**ticket) if ticket else None)
