"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.faults.model import Fault
from harness.launch.running import UNCAPPED, InstanceSize
from harness.stages.manifest import REPOSITORY, Stage
from payment_simulator.settings import PaymentSettings
from scenarios.model import Scenario, Variant

Cell = tuple[Scenario, Variant]
ProviderName = Literal["embedded", "external"]

REPORTS = REPOSITORY / "reports"

SERVICE_CPUS = 0.15
GATEWAY_CPUS = 1.0
"""design.md, "Instance size": small enough that everything fits on two cores."""


PROVIDER_MEDIAN_MS: float = PaymentSettings.model_fields["latency_median_ms"].default
PROVIDER_SIGMA: float = PaymentSettings.model_fields["latency_sigma"].default


@dataclass(frozen=True)
class Profile:
    """How long a run takes its time."""

    name: str
    repeats: int
    warm_up_seconds: float
    seconds: float
    full: bool
    """Whether cells are measured that a first look can do without."""
    text: str


PROFILES: Mapping[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("smoke", 1, 1.0, 3.0, False, "does it run? seconds a cell; its figures mean nothing"),
        Profile("quick", 1, 3.0, 5.0, False, "a first look: every scenario once"),
        Profile("full", 3, 5.0, 20.0, True, "figures to quote: three repeats in turns, with spread and verdicts"),
    )
}


@dataclass(frozen=True)
class RunOptions:
    """A run, resolved: everything that decides what it does."""

    profile: str
    stages: tuple[Stage, ...]
    scenarios: tuple[Scenario, ...]
    repeats: int
    warm_up_seconds: float
    seconds: float
    service_cpus: float | None
    """CPUs of one service instance; None: uncapped, and so is the gateway."""
    provider: ProviderName
    dataset: str
    seed: int
    exact: bool
    faults: tuple[Fault, ...] = ()
    """What is done to the processes in every cell."""
    replicas: Mapping[str, int] = field(default_factory=dict)
    """Service to its number of instances, where that is not as the stage says; stages without discovery have one."""
    scenarios_named: bool = False
    """Whether the scenarios were asked for by name."""
    rate: float | None = None
    """Requests a second of every open load; None: as the scenario says."""
    provider_median_ms: float = PROVIDER_MEDIAN_MS
    """Median latency of the payment provider's simulator; 0: none is made."""
    reports: Path = REPORTS
    arguments: tuple[str, ...] = ()

    @property
    def cells(self) -> list[Cell]:
        """What each stage is measured with, in order."""
        full = PROFILES[self.profile].full

        def is_named(variant: Variant) -> bool:
            return self.scenarios_named or (self.rate is not None and variant.load.shape == "open")

        return [
            (scenario, variant)
            for scenario in self.scenarios
            for variant in scenario.variants
            if full or not variant.only_full or (variant.if_named and is_named(variant))
        ]

    @property
    def phases(self) -> list[list[Cell]]:
        """The cells in the order of running: those that are paced by what others gave come when these are done."""
        waiting = [cell for cell in self.cells if self.rate is None and cell[1].needs_rate]
        first = [cell for cell in self.cells if cell not in waiting]
        return [phase for phase in (first, waiting) if phase]

    @property
    def replicas_text(self) -> str | int:
        """The replicas as one of a cell's params: a number where it is the same for all services that are named."""
        counts = {*self.replicas.values()}
        return counts.pop() if len(counts) == 1 else " ".join(f"{name}={n}" for name, n in self.replicas.items())

    @property
    def instance_size(self) -> InstanceSize:
        return UNCAPPED if self.service_cpus is None else InstanceSize(self.service_cpus, GATEWAY_CPUS)
