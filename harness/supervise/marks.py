"""Processes found by what they inherited: every child of a run carries its owner in the environment."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil

OWNER_VARIABLE = "FORTICKETS_OWNER"
"""Set for every started process to ``<run id>:<process name>:<serial>``; its descendants inherit it."""

_POLL_SECONDS = 0.01


def marked(owner: str) -> list[psutil.Process]:
    """The running processes whose mark begins with ``owner``.

    It finds what no parent leads to any more (children of a process that has ended), and what was forked but not
    yet written down. Processes that hide or overwrite their environment, as PostgreSQL does, are found by descent.
    """
    found = []
    for process in psutil.process_iter():
        # Gone meanwhile, or somebody else's: neither is ours.
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            if process.environ().get(OWNER_VARIABLE, "").startswith(owner):
                found.append(process)
    return found


def end_marked(owner: str, timeout: float) -> list[psutil.Process]:
    """SIGKILL every process whose mark begins with ``owner``, and wait for their end; those that do not end.

    A single look may miss a process that is just being forked (behind the look) or in execve(2), where its environment
    reads as empty for a moment. So it looks until it has found nothing twice in a row.
    """
    deadline = time.monotonic() + timeout
    clean_looks = 0
    while clean_looks < 2:
        found = marked(owner)
        clean_looks = 0 if found else clean_looks + 1
        signal_all(found, signal.SIGKILL)
        left = wait_gone(found, deadline - time.monotonic())
        if left and time.monotonic() >= deadline:
            return left
        time.sleep(_POLL_SECONDS)
    return []


def signal_all(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    """Send a signal to each; psutil compares the start time first, so that a reused pid is not hit."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def wait_gone(processes: Iterable[psutil.Process], timeout: float) -> list[psutil.Process]:
    """Wait at most ``timeout`` seconds for all to end; those that still run (a zombie has ended)."""
    deadline = time.monotonic() + timeout
    left = [process for process in processes if _runs(process)]
    while left and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        left = [process for process in left if _runs(process)]
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
