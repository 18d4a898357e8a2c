"""``summary.json``, version 1: the public, frozen record of a run.

Every field is described in ``docs/summary-format.md``. Optional fields may be added; a field that exists is never
renamed, removed or given another meaning without a new ``version``. Readers ignore fields that they do not know.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

VERSION = 1
FILE_NAME = "summary.json"

Scalar = str | int | Annotated[float, Field(allow_inf_nan=False)] | bool
Params = dict[str, Scalar]
"""What tells the cells of one scenario apart: ``buyers``, ``replicas``, ``load``, ``fault``. Empty: the only cell."""

Number = Annotated[float, Field(allow_inf_nan=False)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Id = Annotated[str, Field(min_length=1)]
Verdict = Literal["confirmed", "refuted", "inconclusive", "not_comparable"]
Method = Literal["range", "bootstrap95"]
Applied = Literal["cgroup v1", "cgroup v2", "container", "none"]


class Record(BaseModel):
    """Base of all records: immutable, strict about types, tolerant of fields that a later writer adds."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Machine(Record):
    """The computer that carried platform, servers and load generator."""

    cpu_model: str
    cores: Annotated[int, Field(ge=1)]
    memory_bytes: Annotated[int, Field(ge=0)]
    kernel: str
    python: str
    versions: dict[str, str]
    """Servers and main libraries, name to version."""


class InstanceSize(Record):
    """The CPU budget of each process, as asked for and as applied."""

    requested: str
    """The value of ``--instance-cpus``: CPUs for each service instance, or ``none``."""
    applied: Applied
    """What enforced it; ``none`` if the machine permits no cap or none was asked for."""
    components: dict[str, Amount | None] = {}
    """CPUs of one instance of each component; null where it has no cap."""


class Run(Record):
    """When, where and how; enough to run it again."""

    id: Id
    started: AwareDatetime
    seconds: Amount
    profile: str
    machine: Machine
    provider: str
    instance_size: InstanceSize
    arguments: list[str] = []
    """The command line after ``run_all.py``."""
    seed: int = 0
    settings: dict[str, Scalar] = {}
    """Settings of servers and services that bear on speed or durability, name to value."""
    caveats: list[str] = []
    """Plain sentences on what weakens the figures."""
    revision: str | None = None
    """Commit of the checkout, with ``-dirty`` if it had changes; null outside a checkout."""


class Hypothesis(Record):
    """What a stage claims, so that a run can refute it: metric(stage) / metric(against) at_least or at_most a bound."""

    id: Id
    scenario: Id
    metric: Id
    against: Id
    at_least: Amount | None = None
    at_most: Amount | None = None
    why: str = ""
    params: Params = {}
    """Only the cells with these params are judged; empty: all cells."""
    against_params: Params | None = None
    """The params of the cell compared with, where they differ (one replica against none named); null: the same."""
    needs_cap: bool = False
    """True where the claim holds at equal instance size only (replicas, queue): without a cap, not comparable."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("exactly one of at_least and at_most must be given")
        return self


class Stage(Record):
    """One stage of the platform, as it ran."""

    id: Id
    title: str
    improvement: str
    cpu_budget: Amount | None
    """CPUs that the stage's instances own in all; null if uncapped."""
    hypotheses: list[Hypothesis] = []
    instances: dict[str, int] = {}
    """Replica count of each component."""
    known_defects: list[str] = []


class Measurement(Record):
    """One metric of one cell (stage, scenario, params) over all its repeats, in the order in which they ran."""

    stage: Id
    scenario: Id
    params: Params = {}
    metric: Id
    unit: str
    values: Annotated[list[Number], Field(min_length=1)]
    median: Number
    low: Number
    high: Number
    n: Annotated[int, Field(ge=1)]
    method: Method
    valid: bool = True
    limited_by: str | None = None
    """What was saturated outside the services under test: ``locust``, ``gateway``, ``machine``; joined by `` + ``."""
    note: str | None = None
    """Why it is invalid, or what a reader must know beside the figure."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.n != len(self.values):
            raise ValueError("n must be the number of values")
        if not self.low <= self.median <= self.high:
            raise ValueError("low <= median <= high must hold")
        return self


class Ratio(Record):
    """A hypothesis judged on one cell: metric(stage) / metric(against), repeats paired as they ran."""

    hypothesis: Id
    scenario: Id
    params: Params = {}
    metric: Id
    stage: Id
    against: Id
    ratio: Amount | None
    low: Amount | None
    high: Amount | None
    verdict: Verdict
    note: str | None = None
    """Why it could not be compared, or was left open."""


class Cost(Record):
    """CPU time, user and system, all threads, that one component spent for each successful request."""

    stage: Id
    scenario: Id
    params: Params = {}
    component: Id
    cpu_us_per_request: Amount
    peak_memory_mib: Amount | None = None
    """The most that the component's processes held at one moment of a repeat; null if it was not sampled."""


class Audit(Record):
    """One correctness rule, checked after a cell."""

    stage: Id
    scenario: Id
    params: Params = {}
    rule: Id
    violations: Annotated[int, Field(ge=0)]
    declared: bool = False
    """True where ``stage.toml`` names this as a known defect; such violations do not turn the run red."""
    detail: str | None = None
    """The first violations in words."""

    @property
    def broken(self) -> bool:
        """Whether this turns the run red."""
        return self.violations > 0 and not self.declared


class Summary(Record):
    """A whole run."""

    version: Literal[1] = 1
    run: Run
    stages: list[Stage]
    measurements: list[Measurement] = []
    ratios: list[Ratio] = []
    costs: list[Cost] = []
    audits: list[Audit] = []

    @property
    def audit_ok(self) -> bool:
        """Whether no rule was broken but by declared defects; decides the exit code of a run."""
        return not any(audit.broken for audit in self.audits)
