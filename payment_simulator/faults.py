"""The latency and the faults that are made: drawn from a seed, whatever the order in which requests arrive.

A draw depends on (seed, request key, attempt) alone, through a keyed hash in place of a random generator's state. The
request key is the ``Idempotency-Key`` where there is one, else the body, with the address before it. ``attempt`` counts
the faults that this request has met already, so that a retry is drawn anew.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

from prometheus_client import Counter as MetricCounter
from prometheus_client import Histogram
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from common.telemetry import LATENCY_BUCKETS

INJECTED_FAULTS = MetricCounter("payment_injected_faults", "Faults made by the simulator.", ["operation", "kind"])
INJECTED_SECONDS = Histogram(
    "payment_injected_latency_seconds", "Latency made by the simulator.", ["operation"], buckets=LATENCY_BUCKETS
)

_STANDARD_NORMAL = NormalDist()
# Orders like "17_decline-x8f2" ask for a fault by name: what stands behind the first "_", or at the very start.
_TRIGGER = re.compile(r"(?:[^_]*_)?(decline|error|lost|cancelerror|cancellost|canceldown)-")


class Operation(StrEnum):
    CONFIRM = "confirm"
    CANCEL = "cancel"


class FaultProfile(BaseModel):
    """How slow and unreliable the provider is; rates are shares of requests, from 0 to 1."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid", allow_inf_nan=False
    )

    decline_rate: float = Field(default=0.0, ge=0, le=1)
    error_rate: float = Field(default=0.0, ge=0, le=1)
    lost_answer_rate: float = Field(default=0.0, ge=0, le=1)
    latency_median_ms: float = Field(default=0.0, ge=0)
    sigma: float = Field(default=0.0, ge=0)
    confirm_down: bool = False
    cancel_down: bool = False


@dataclass(frozen=True)
class Draw:
    """What happens to one request."""

    latency_seconds: float
    error: bool
    decline: bool
    lost_answer: bool


def draw(profile: FaultProfile, seed: int, request_key: str, attempt: int) -> Draw:
    """The fate of one attempt at one request: four independent draws from one hash.

    The latency is log-normal: median times e to the power of sigma times a standard normal variate.
    """
    digest = hashlib.blake2b(f"{seed}\n{attempt}\n{request_key}".encode(), digest_size=32).digest()
    latency, error, decline, lost = (_uniform(digest[start : start + 8]) for start in (0, 8, 16, 24))
    seconds = profile.latency_median_ms / 1000
    if seconds and profile.sigma:
        seconds *= math.exp(profile.sigma * _STANDARD_NORMAL.inv_cdf(latency))
    return Draw(
        latency_seconds=seconds,
        error=error < profile.error_rate,
        decline=decline < profile.decline_rate,
        lost_answer=lost < profile.lost_answer_rate,
    )


def _uniform(eight_bytes: bytes) -> float:
    """A number in the open interval (0, 1): 52 bits and a half, so that neither end can be rounded to."""
    return ((int.from_bytes(eight_bytes) >> 12) + 0.5) / 2**52


class Faults:
    """The profile in force, and how many faults each request has met."""

    def __init__(self, seed: int, configured: FaultProfile) -> None:
        self.seed = seed
        self.configured = configured
        self.profile = configured
        # Of requests that met a fault only. Lost in a restart: the same fault may then be met once more.
        self._met: Counter[str] = Counter()

    def next_draw(self, operation: Operation, request_key: str, order_id: str) -> Draw:
        """Decides what happens to a request that is about to be worked on, and counts it."""
        attempt = self._met.get(request_key, 0)
        fate = draw(self.profile, self.seed, request_key, attempt)
        fate = self._forced(operation, fate, order_id, attempt)
        INJECTED_SECONDS.labels(operation.value).observe(fate.latency_seconds)
        if fate.error or fate.lost_answer:
            self._met[request_key] += 1
        # An error comes before the work: it leaves nothing to decline, and nothing to lose the answer of.
        if fate.error:
            INJECTED_FAULTS.labels(operation.value, "error").inc()
        elif fate.lost_answer:
            INJECTED_FAULTS.labels(operation.value, "lost_answer").inc()
        return fate

    def _forced(self, operation: Operation, fate: Draw, order_id: str, attempt: int) -> Draw:
        """``fate`` with what a switch or the order's own name asks for; a named fault strikes the first attempt."""
        confirming = operation is Operation.CONFIRM
        down = self.profile.confirm_down if confirming else self.profile.cancel_down
        match = _TRIGGER.match(order_id)
        trigger = match[1] if match else ""
        first = attempt == 0
        if confirming:
            error, lost = trigger == "error" and first, trigger == "lost" and first
        else:
            error = (trigger == "cancelerror" and first) or trigger == "canceldown"
            lost = trigger == "cancellost" and first
        return Draw(
            latency_seconds=fate.latency_seconds,
            error=fate.error or down or error,
            decline=confirming and (fate.decline or trigger == "decline"),
            lost_answer=fate.lost_answer or lost,
        )
