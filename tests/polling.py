"""Waiting for what happens by itself: by looking until it has, and no longer than a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 20.0

# Most things happen at once. What takes seconds is often asked of a server, which has better to do than to answer.
_FIRST_SECONDS, _LAST_SECONDS, _GROWTH = 0.01, 0.1, 1.3


def until(condition: Callable[[], bool], seconds: float = SECONDS) -> bool:
    """Whether the condition comes true within that time; it is looked at once more when the time is over."""
    deadline = time.monotonic() + seconds
    pause = _FIRST_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        if condition():
            return True
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LAST_SECONDS)
    return condition()
