"""What a scenario says about itself."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from scenarios.arrivals import Surge
from scenarios.dataset import Dataset
from scenarios.tickets import Ticket

SCENARIOS_FOLDER = Path(__file__).parent

Shape = Literal["closed", "burst", "open"]

ACCEPTED = 202
"""HTTP status of a request that waits in line: its client has a ticket, and no outcome yet."""

# The clients of an open load take turns, one in so many seconds each: longer than an answer takes, the payment
# provider at its slowest included, so that a client is free again when its next turn comes.
TURN_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """One successful answer that a client kept, for the audit."""

    method: str
    path: str
    body: str


@dataclass
class Attempt:
    """One request that changes something, as its client remembers it: written down before it is sent."""

    method: str
    path: str
    user: int
    """The number of the load's user, from 0."""
    key: str
    """Its ``Idempotency-Key``; empty if it carried none."""
    sent: Any
    """The body, before it was encoded."""
    sent_at: float
    """Seconds since the epoch."""
    status: int = 0
    """HTTP status; 0 while, or if, no answer came."""
    body: str = ""
    answered_at: float | None = None
    ticket: Ticket | None = None
    """The place in line that a 202 gave; what became of the request is then the ticket's to tell."""

    @property
    def final_status(self) -> int:
        """Status of the answer, or of the ticket's outcome; 0 if its client was not told what became of it."""
        return self.status if self.ticket is None else self.ticket.status

    @property
    def final_body(self) -> str:
        """What belongs to ``final_status``."""
        return self.body if self.ticket is None else self.ticket.body

    @property
    def data(self) -> Any:
        """The envelope's data of an outcome that has one."""
        return json.loads(self.final_body)["data"]

    @property
    def code(self) -> int | None:
        """The contract's code of the outcome; None if there is none of the contract's form."""
        try:
            return int(json.loads(self.final_body)["code"])
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def outcome_known(self) -> bool:
        """Whether the client was told what became of it. 5xx says nothing: the work may have been done."""
        return 200 <= self.final_status < 500 and self.final_status != ACCEPTED


@dataclass(frozen=True)
class CellState:
    """What a scenario may look at before and after its load."""

    database_urls: Mapping[str, str]
    """Package to the URL of its database."""
    dataset: Dataset
    gateway_url: str
    tokens: Sequence[str]
    """Bearer tokens of the load's users, in the order of the data set's user ids."""
    ledger: Path
    """The payment simulator's SQLite file."""
    answers: Sequence[Answer] = ()
    attempts: Sequence[Attempt] = ()
    measured_from: float = field(default_factory=time.time)
    """When the measured part began, in seconds since the epoch (if nobody says, now): where courses over time begin."""

    @property
    def ticketed(self) -> list[Attempt]:
        """The requests that were given a place in line."""
        return [attempt for attempt in self.attempts if attempt.ticket is not None]


@dataclass(frozen=True)
class Finding:
    """One rule as it was checked: how often it was broken, and the first violations in words."""

    rule: str
    violations: int
    detail: str = ""


@dataclass(frozen=True)
class Audited:
    """What came out of an audit: the rules, and what only the databases can tell."""

    findings: list[Finding]
    metrics: Mapping[str, float] = field(default_factory=dict)
    """Metric id to value, such as ``finished`` and ``refund_done_ms``."""
    courses: Sequence[Course] = ()
    """What the report draws over time."""


@dataclass(frozen=True)
class Course:
    """Something over time, from the start of the measured part."""

    title: str
    """What it is, with its unit in brackets."""
    step_seconds: float
    values: Sequence[float | None]
    """One figure a step; None where there is nothing to tell."""
    with_provider: bool = False
    """Whether these are milliseconds that contain the payment provider's."""


@dataclass(frozen=True)
class Load:
    """How a scenario's clients come.

    ``closed``: each client sends its next request when it has the answer to the last, as the original's load did; a
    slow platform is asked less. ``burst``: every client sends one request, all at the same moment. ``open``: requests
    come at a fixed rate, whatever the platform does; latency counts from the moment when a request was due.
    """

    shape: Shape
    users: int = 0
    """Clients; for ``open`` the most that may wait for an answer at once, known when its rate is."""
    requests_per_user: int = 1
    """How many requests each client makes with ``--exact`` (closed) or ever (burst)."""
    share_of_capacity: float | None = None
    """Open: its rate is this share of what the run's slowest stage did in a closed loop."""
    capacity_of: str = ""
    """Open: the scenario whose closed loop that is; empty: its own."""
    rate: float | None = None
    """Open: requests a second, or visits where one is several requests."""
    surge: Surge | None = None
    """Open: a time in the measured part in which the rate is a multiple."""
    seconds: float | None = None
    """Measured for so long, whatever the run's cells are else."""

    def at_rate(self, rate: float) -> Load:
        """An open load of so many requests a second, with clients enough for it."""
        highest = rate * (self.surge.times if self.surge else 1.0)
        return replace(self, rate=rate, users=max(1, math.ceil(highest * TURN_SECONDS)))


@dataclass(frozen=True)
class Variant:
    """One cell of a scenario: what tells it from the others, and its load."""

    load: Load
    params: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    only_full: bool = False
    """Whether a first look can do without it."""
    if_named: bool = False
    """Whether a first look has it even so where its scenario was asked for by name."""
    replicas: int | None = None
    """Instances of each service that a stage replicates; None: as many as it says itself. Stages that replicate
    nothing are not measured with it."""

    @property
    def needs_rate(self) -> bool:
        """Whether it cannot be measured before something else has told how fast it is to come."""
        return self.load.shape == "open" and self.load.rate is None

    def at_rate(self, rate: float) -> Variant:
        """The same, its rate decided, and named in its params."""
        return replace(self, load=self.load.at_rate(rate), params={**self.params, "rate": rate})


@dataclass(frozen=True)
class Scenario:
    """One kind of load: its shape, its data, and what must hold after it."""

    id: str
    title: str
    text: str
    """Shape of the load in a sentence or two, for the report."""
    variants: tuple[Variant, ...]
    prepare: Callable[[CellState], Mapping[str, Any]]
    """What the Locust file has to know of the data, called after seeding."""
    audit: Callable[[CellState], Audited]
    refusals: frozenset[int] = frozenset()
    """Codes that are a definite business answer here: answered well, but not a success."""
    needs_noop: bool = False
    """Whether the noop service has to run beside the stage."""
    asks_provider: bool = False
    """Whether its answers wait for the payment provider, whose latency is then told beside the figures."""
    mixed: bool = False
    """Whether its requests are of several kinds, so that their mean latency tells of none."""

    @property
    def locustfile(self) -> Path:
        return SCENARIOS_FOLDER / self.id / "locustfile.py"
