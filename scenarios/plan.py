"""What a Locust process is told: written by the harness (or by ``run_all.py up --load-plan``), read by the load."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from scenarios.arrivals import Surge
from scenarios.model import Shape

PLAN_VARIABLE = "FORTICKETS_LOAD_PLAN"


@dataclass(frozen=True)
class LoadPlan:
    """One cell's load. Times are seconds."""

    scenario: str
    host: str
    shape: Shape
    users: int
    warm_up_seconds: float
    seconds: float
    """How long is measured; with ``requests_per_user`` the most that is allowed."""
    seed: int
    tokens: list[str] = field(repr=False)
    data: dict[str, Any]
    requests_per_user: int | None = None
    """Each client stops after so many requests, all of which count; None: measure by time."""
    rate: float | None = None
    """Requests a second, for the ``open`` shape; visits, where one is several requests."""
    surge: Surge | None = None
    """A time in which the rate is a multiple; from the start of the measured part."""
    refusals: list[int] = field(default_factory=list)
    """Codes that are a definite business answer."""
    keep_every: int = 50
    """One answer in so many is kept for the audit."""

    @property
    def keys(self) -> str:
        """What idempotency keys begin with. A stage remembers those of the cells that it has served before: the same
        request under the same key would get the answer of then."""
        return f"{self.scenario}-{self.shape}-{self.users}-{self.seed}"

    def save(self, path: Path) -> None:
        """Writes the plan for its owner's eyes only: it holds tokens."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> LoadPlan:
        content = json.loads(path.read_text())
        surge = content.pop("surge", None)
        return cls(**content, surge=Surge(**surge) if surge else None)


@cache
def current_plan() -> LoadPlan:
    """The plan of this Locust process.

    Raises:
        RuntimeError: none was given.
    """
    path = os.environ.get(PLAN_VARIABLE)
    if not path:
        raise RuntimeError(
            f"{PLAN_VARIABLE} is not set: start a stage with `python run_all.py up 01 --load-plan SCENARIO=FILE`, "
            f"then `{PLAN_VARIABLE}=FILE locust -f scenarios/SCENARIO/locustfile.py`."
        )
    return LoadPlan.load(Path(path))
