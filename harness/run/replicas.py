"""A stage with another number of instances than it says itself, where it replicates services at all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.run.options import Cell
from harness.stages.manifest import ServiceSpec, Stage


def is_replicated(stage: Stage) -> bool:
    """Whether the stage is made to run several instances of a service: it does so by itself."""
    return any(spec.replicas > 1 for spec in stage.services.values())


def with_replicas(stage: Stage, instances: int) -> Stage:
    """The stage with so many instances of each service that it replicates; the others stay as they are."""
    services = {
        name: ServiceSpec(replicas=instances) if spec.replicas > 1 else spec for name, spec in stage.services.items()
    }
    return stage.model_copy(update={"services": services})


def cells_for(stage: Stage, cells: Iterable[Cell]) -> list[Cell]:
    """The cells that can be measured on ``stage``: no number of instances is asked of one that replicates nothing."""
    return [cell for cell in cells if cell[1].replicas is None or is_replicated(stage)]


def by_start(stage: Stage, cells: Sequence[Cell]) -> list[tuple[Stage, list[Cell]]]:
    """The stage in each number of instances that ``cells`` ask for, and what is measured on it."""
    starts: dict[int | None, list[Cell]] = {}
    for cell in cells_for(stage, cells):
        starts.setdefault(cell[1].replicas, []).append(cell)
    return [
        (stage if instances is None else with_replicas(stage, instances), found) for instances, found in starts.items()
    ]
