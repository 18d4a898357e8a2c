"""Figures of the original Java platform, as its authors published them.

They were measured on other hardware, so they are drawn as thin marks, never divided by ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from harness.store.summary import Params

NOTE = "Measured by its authors on other hardware, each service at half a core: a mark for the direction, not a rival."


@dataclass(frozen=True)
class Original:
    """A published figure, in the unit of its metric, and the state of the platform that it belongs to."""

    scenario: str
    metric: str
    value: float
    state: str
    params: Params = field(default_factory=dict)


ORIGINALS: tuple[Original, ...] = (
    Original("concert_list", "throughput", 161.3, "no cache"),
    Original("concert_list", "throughput", 500.0, "with cache"),
    Original("seat_lookup", "throughput", 65.8, "one instance"),
    Original("seat_lookup", "throughput", 88.5, "with replicas"),
    Original("booking", "throughput", 55.2, "no queue"),
    Original("booking", "accepted", 55.2, "no queue"),
    Original("booking", "accepted", 400.0, "with queue, tickets counted"),
    Original("cancel", "mean_ms", 3_000.0, "synchronous"),
    Original("one_seat", "answered_well", 0.983, "SERIALIZABLE", {"buyers": 1_000}),
    Original("one_seat", "answered_well", 1.0, "seat lock", {"buyers": 1_000}),
    Original("one_seat", "answered_well", 0.163, "SERIALIZABLE", {"buyers": 5_000}),
    Original("one_seat", "answered_well", 0.926, "seat lock", {"buyers": 5_000}),
)
