"""Carries the faults of a cell out, on time, while the load goes on."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from harness.faults.model import SCALING, Action, Fault
from harness.supervise import ManagedProcess

RECOVERED_SHARE = 0.5
"""Of the rate before a fault: the platform serves again. Not more, since rates drift by a third without any fault:
bookings become slower as seats are sold, and a machine has other things to do."""


@dataclass
class FaultRun:
    """What became of one fault. Times are seconds from the start of the measured part."""

    fault: Fault
    began: float | None = None
    ended: float | None = None
    """When the process ran on, or was ready again; a server (PostgreSQL, Redis, Kafka) only: was started again. When
    an instance was added: was ready; was stopped: had ended."""
    problem: str = ""


class Scaling(Protocol):
    """What has instances that come and go: a running stage."""

    def add(self, component: str) -> tuple[str, ManagedProcess]: ...

    def remove(self, name: str) -> None: ...

    def bring_back(self, name: str) -> ManagedProcess: ...


class Injector:
    """Runs each fault in a thread of its own; ``restarted`` is told of every process that has a new pid."""

    def __init__(
        self,
        faults: Sequence[Fault],
        process_of: Callable[[str], ManagedProcess],
        restarted: Callable[[str, ManagedProcess], None],
        scaling: Scaling | None = None,
    ) -> None:
        """``scaling`` is asked to add, and to stop, instances."""
        self.runs = [FaultRun(fault) for fault in faults]
        self._scaling = scaling
        self._undo: list[Callable[[], None]] = []
        self._process_of = process_of
        self._restarted = restarted
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._zero = 0.0

    @property
    def targets(self) -> set[str]:
        """The processes whose death is part of the plan."""
        return {run.fault.target for run in self.runs}

    def start(self) -> None:
        """The measured part begins now."""
        self._zero = time.monotonic()
        for run in self.runs:
            thread = threading.Thread(target=self._carry_out, args=(run,), name=f"fault {run.fault}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def finish(self) -> None:
        """Faults that have not begun are called off; one that is under way is brought to its end."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        while self._undo:  # what a cell has added or stopped, the next one does not find so
            self._undo.pop()()

    def _carry_out(self, run: FaultRun) -> None:
        fault = run.fault
        if self._stop.wait(max(0.0, self._zero + fault.at_seconds - time.monotonic())):
            run.problem = "the load ended before it was due"
            return
        try:
            if fault.action in SCALING:
                run.began = time.monotonic() - self._zero
                self._scale(fault)
                run.ended = time.monotonic() - self._zero
                return
            process = self._process_of(fault.target)
            run.began = time.monotonic() - self._zero
            if fault.action is Action.PAUSE:
                process.pause()
                cut_short = self._stop.wait(fault.down_seconds)
                process.resume()
            else:
                cut_short = self._bring_down(fault, process)
                process.respawn()
                self._restarted(fault.target, process)
            run.ended = time.monotonic() - self._zero
            if cut_short:
                run.problem = "the load ended before it was over"
        except Exception as problem:  # a thread has nobody to raise to; the report says what went wrong
            run.problem = f"{type(problem).__name__}: {problem}"

    def _scale(self, fault: Fault) -> None:
        scaling = self._scaling
        assert scaling is not None, "whoever lets these faults be asked for can carry them out"
        if fault.action is Action.ADD:
            name, process = scaling.add(fault.target)
            self._undo.append(lambda: scaling.remove(name))
            self._restarted(name, process)
        else:
            self._undo.append(lambda: self._restarted(fault.target, scaling.bring_back(fault.target)))
            scaling.remove(fault.target)

    def _bring_down(self, fault: Fault, process: ManagedProcess) -> bool:
        """Ends the process, and keeps it down; whether that was cut short by the end of the load."""
        if fault.action is Action.RESTART:
            process.terminate()
            return False
        process.kill()
        return self._stop.wait(fault.down_seconds) if fault.down_seconds else False


def recovery_seconds(per_second_ok: Sequence[int], fault: FaultRun, share: float = RECOVERED_SHARE) -> float | None:
    """Seconds from the fault until the platform serves again, to within a second.

    Before: the median rate of the whole seconds ahead of the fault. Again: the first whole second after it, from which
    on two seconds in a row reach ``share`` of that. None if that never came, or there was no second ahead.
    """
    if fault.began is None:
        return None
    struck = int(fault.began)
    before = per_second_ok[:struck]
    if not before:
        return None
    enough = share * statistics.median(before)
    for second in range(struck + 1, len(per_second_ok) - 1):
        if per_second_ok[second] >= enough and per_second_ok[second + 1] >= enough:
            return second - fault.began
    return None
