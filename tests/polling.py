"""Waiting for what happens by itself: by looking until it has, and no longer than a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 20.0
_PERIOD_SECONDS = 0.02


def until(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Whether the condition comes true within that time; it is looked at once more when the time is over."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(_PERIOD_SECONDS)
    return condition()
