"""Growing: the seat lookup on one, two and three instances of each service that a stage replicates."""

from __future__ import annotations

from scenarios.model import Load, Scenario, Variant
from scenarios.seat_lookup.rules import audit, prepare

INSTANCES = (1, 2, 3)

SCENARIO = Scenario(
    id="scale",
    title="Scale",
    text="The seat lookup, 1,000 clients in a closed loop, on one, two and three instances of each service that the "
    "stage replicates. Gateway, servers and load generator stay as they are, and may become the limit.",
    variants=tuple(
        Variant(
            Load("closed", users=1_000, requests_per_user=10),
            {"replicas": instances},
            only_full=True,
            if_named=True,
            replicas=instances,
        )
        for instances in INSTANCES
    ),
    prepare=prepare,
    audit=audit,
)
