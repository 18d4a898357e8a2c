"""What is compared: guards and loads; and what comes of one load once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Guard:
    """One way to keep a seat from being sold twice."""

    name: str
    stage: str
    """The folder of the stage whose code and tables it is made of."""
    meaning: str
    has_redis: bool = True


GUARDS = (
    Guard("none", "01_baseline", "looks, then books; READ COMMITTED, a plain index"),
    Guard("serializable", "01_baseline", "the same at SERIALIZABLE, up to six times (stages 01 to 03)"),
    Guard("index", "04_scaleout", "looks, then books; READ COMMITTED, a unique index"),
    Guard("lock", "04_scaleout", "a lock for each seat, over the unique index (stage 04)"),
    Guard("lock_without_redis", "04_scaleout", "the same while Redis is away: what is left of it", has_redis=False),
)


@dataclass(frozen=True)
class Load:
    """Who comes: that many buyers to each instance's share, of one seat or each of another."""

    name: str
    buyers: int
    one_seat: bool
    at_once: bool = True


LOADS = (
    Load("one after the other", 300, one_seat=False, at_once=False),
    Load("each of another seat", 1_000, one_seat=False),
    Load("of one seat", 1_000, one_seat=True),
    Load("of one seat", 5_000, one_seat=True),
)
QUICK_LOADS = (
    Load("one after the other", 20, one_seat=False, at_once=False),
    Load("each of another seat", 100, one_seat=False),
    Load("of one seat", 200, one_seat=True),
)


@dataclass(frozen=True)
class Crowd:
    """Buyers who come to one instance at a moment of the monotonic clock: all at once, or one after the other."""

    schedule_id: int
    columns: Sequence[int]
    """The seat of each of them, in the first row."""
    at: float
    at_once: bool


@dataclass(frozen=True)
class Answers:
    """What came of a crowd, in the order in which they were answered."""

    outcomes: Sequence[str]
    """``sold``, ``taken``, or ``busy`` (503: come back later)."""
    seconds: Sequence[float]
    ended: float
    """When the last of them was answered, by the monotonic clock."""
    cpu_seconds: float
    """Of this process."""


@dataclass(frozen=True)
class Run:
    """What came of one load once."""

    answers: Sequence[Answers]
    seats_sold_twice: int
    seconds: float
    """From the moment at which they came to the last answer."""
    postgres_cpu_seconds: float
    redis_cpu_seconds: float
