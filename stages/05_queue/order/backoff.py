"""How long to wait before the payment provider is asked again about the same thing."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 60.0


def next_attempt(attempts: int) -> datetime:
    """When to try again after so many failures: twice as long each time, shortened at random by up to a half."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(attempts, 20))
    return datetime.now(UTC) + timedelta(seconds=longest * random.uniform(0.5, 1.0))
