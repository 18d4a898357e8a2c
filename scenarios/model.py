"""What a scenario says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.dataset import Dataset

SCENARIOS_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Answer:
    """One successful answer that a client kept, for the audit."""

    method: str
    path: str
    body: str


@dataclass(frozen=True)
class CellState:
    """What a scenario may look at before and after its load."""

    database_urls: Mapping[str, str]
    """Package to the URL of its database."""
    dataset: Dataset
    gateway_url: str
    tokens: Sequence[str]
    """Bearer tokens of the load's users, in the order of the data set's user ids."""
    answers: Sequence[Answer] = ()


@dataclass(frozen=True)
class Finding:
    """One rule as it was checked: how often it was broken, and the first violations in words."""

    rule: str
    violations: int
    detail: str = ""


@dataclass(frozen=True)
class Scenario:
    """One load: its shape, its data, and what must hold after it."""

    id: str
    title: str
    text: str
    """Shape of the load in a sentence or two, for the report."""
    users: int
    """Clients in a closed loop: each sends its next request when it has the answer to the last."""
    requests_per_user: int
    """How many requests each client makes with ``--exact``, as the original's load did."""
    prepare: Callable[[CellState], Mapping[str, Any]]
    """What the Locust file has to know of the data, called after seeding."""
    audit: Callable[[CellState], list[Finding]]
    needs_noop: bool = False
    """Whether the noop service has to run beside the stage."""

    @property
    def locustfile(self) -> Path:
        return SCENARIOS_FOLDER / self.id / "locustfile.py"
