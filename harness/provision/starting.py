"""What starting any embedded server has in common: wait until it answers, say why not, try another port."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.errors import HarnessError
from harness.supervise import ManagedProcess, Supervisor

Result = TypeVar("Result")
Report = Callable[[str], None]

PORT_ATTEMPTS = 5
_PATIENCE_SECONDS = 2.0
_POLL_SECONDS = 0.02
_GIST_LINES = 4
_TELLING = ("fatal", "error", "exception", "panic", "invalid", "could not", "can't")
_CLASH_MARKS = ("address already in use", "address in use", "eaddrinuse")
_FULL_MARKS = (os.strerror(errno.ENOSPC).lower(), "no space left on device", "disk quota exceeded")


class PortClashError(HarnessError):
    """Somebody else listens on the chosen port."""


@dataclass(frozen=True)
class Place:
    """Where a server is started from, and whom it tells."""

    supervisor: Supervisor
    folder: Path
    """Its own folder in the scratch folder."""
    log_folder: Path
    report: Report
    cancelled: threading.Event
    """Set when nobody waits for the server any more."""

    def given_up(self) -> bool:
        return self.cancelled.is_set() or self.supervisor.closing.is_set()


def wait_until_ready(
    process: ManagedProcess,
    probe: Callable[[], Result],
    *,
    expected: tuple[type[Exception], ...],
    deadline: float,
    place: Place,
) -> Result:
    """Ask until the server answers a real request; what ``probe`` returns.

    Args:
        process: the server.
        probe: one try; raises one of ``expected`` as long as the server is not ready.
        expected: the exceptions that mean "not yet".
        deadline: seconds after which it is given up.
        place: its supervisor, and where to report that it takes long.

    Raises:
        PortClashError: the process ended because its port is taken.
        HarnessError: it ended for another reason, did not get ready in time, or the run is being stopped.
    """
    start = time.monotonic()
    told = start
    last: Exception | None = None
    while time.monotonic() - start < deadline:
        if not process.alive():
            raise died(process)
        if place.given_up():
            raise HarnessError(f"{process.name} was not waited for: the run is being stopped.")
        try:
            result = probe()
        except expected as error:
            last = error
        else:
            # An answer of another server on the same port is none: ours has then just ended.
            if process.wait(_POLL_SECONDS) is None:
                return result
            raise died(process)
        if time.monotonic() - told > _PATIENCE_SECONDS:
            told = time.monotonic()
            place.report(f"Waiting for {process.name} ({told - start:.0f} s).")
        time.sleep(_POLL_SECONDS)
    raise HarnessError(
        f"{process.name} did not answer within {deadline:.0f} s: {_one_line(str(last))}", f"See its log, {process.log}."
    )


def died(process: ManagedProcess) -> HarnessError:
    """Why a process that should run has ended, in one sentence, from the end of its log."""
    lines = [line.strip() for line in process.tail(40) if line.strip()]
    text = "\n".join(lines).lower()
    if any(mark in text for mark in _CLASH_MARKS):
        return PortClashError(
            f"{process.name} ended at its start, because its port is taken.", f"See its log, {process.log}."
        )
    if any(mark in text for mark in _FULL_MARKS):
        return disk_full(process.name, process.log)
    first = next((number for number, line in enumerate(lines) if _tells(line)), len(lines) - 1)
    gist = " ".join(lines[first : first + _GIST_LINES]) if lines else "its log is empty"
    return HarnessError(
        f"{process.name} ended at its start with exit code {process.returncode}: {_one_line(gist)}",
        f"See its log, {process.log}.",
    )


def disk_full(name: str, where: Path) -> HarnessError:
    """The disk is full, said so that a person knows what to do."""
    return HarnessError(
        f"{name} cannot be started: no space left on the disk.",
        f"Free some space (a run needs about 500 MB), or point TMPDIR at another disk; see {where}.",
    )


def on_free_port(place: Place, name: str, start: Callable[[], Result]) -> Result:
    """Call ``start``, which picks its ports itself, again as long as it meets a port that is taken."""
    for attempt in range(1, PORT_ATTEMPTS + 1):
        try:
            return start()
        except PortClashError:
            if attempt == PORT_ATTEMPTS:
                raise
            place.report(f"The port chosen for {name} was taken meanwhile; trying another one.")
    raise AssertionError("the loop returns or raises")


def _tells(line: str) -> bool:
    return any(word in line.lower() for word in _TELLING)


def _one_line(text: str, longest: int = 240) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"
