"""Faults: what the command line says, what happens to the process, and how recovery is told."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.errors import HarnessError
from harness.faults import Fault, FaultRun, Injector, parse_fault
from harness.faults.inject import recovery_seconds
from harness.faults.model import Action
from harness.supervise import ManagedProcess, Supervisor

RUNNING = {"order", "postgres", "gateway"}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("kill:order@10s", Fault(Action.KILL, "order", 10, 0)),
        ("kill:order#2@10s+5s", Fault(Action.KILL, "order#2", 10, 5)),
        ("pause:postgres@0.5s+2.5s", Fault(Action.PAUSE, "postgres", 0.5, 2.5)),
        ("restart:gateway@3s", Fault(Action.RESTART, "gateway", 3, 0)),
    ],
)
def test_a_fault_is_read_and_written_alike(text: str, fault: Fault) -> None:
    assert parse_fault(text, RUNNING) == fault
    assert str(fault) == text


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("kill:ordr@1s", "order"),
        ("kil:order@1s", "kill"),
        ("kill order", "kill:order@10s"),
        ("kill:order@-1s", "ACTION"),
        ("kill:order@1m", "ACTION"),
        ("pause:order@1s", "pause:order@1s+5s"),
        ("restart:order@1s+5s", "kill"),
    ],
)
def test_what_is_no_fault_is_explained(text: str, hint: str) -> None:
    with pytest.raises(HarnessError) as refused:
        parse_fault(text, RUNNING)
    assert hint in refused.value.hint


@pytest.fixture
def steady(supervisor: Supervisor, tmp_path: Path) -> Iterator[ManagedProcess]:
    """A process that runs until it is told to stop."""
    program = "import signal, threading; signal.signal(signal.SIGTERM, lambda *_: exit(0)); threading.Event().wait()"
    process = supervisor.spawn("steady", [sys.executable, "-c", program], log=tmp_path / "steady.log")
    yield process
    supervisor.release(process)


def strike(fault: Fault, process: ManagedProcess) -> tuple[FaultRun, list[int]]:
    """Carries one fault out to its end; what became of it, and the pids that were reported."""
    pids: list[int] = []
    injector = Injector([fault], lambda name: process, lambda name, again: pids.append(again.pid))
    injector.start()
    deadline = time.monotonic() + 10
    while injector.runs[0].ended is None and not injector.runs[0].problem and time.monotonic() < deadline:
        time.sleep(0.01)
    injector.finish()
    return injector.runs[0], pids


@pytest.mark.parametrize("action", [Action.KILL, Action.RESTART])
def test_a_process_that_is_killed_or_restarted_comes_back(steady: ManagedProcess, action: Action) -> None:
    before = steady.pid
    run, pids = strike(Fault(action, "steady", 0.05, 0.0), steady)
    assert run.problem == ""
    assert pids == [steady.pid]
    assert steady.pid != before
    assert steady.alive()


def test_a_process_that_is_paused_runs_on(steady: ManagedProcess) -> None:
    seen: list[str] = []
    injector = Injector([Fault(Action.PAUSE, "steady", 0.0, 0.4)], lambda name: steady, lambda name, again: None)
    injector.start()
    deadline = time.monotonic() + 10
    while injector.runs[0].ended is None and time.monotonic() < deadline:
        seen.append(psutil.Process(steady.pid).status())
        time.sleep(0.01)
    injector.finish()
    assert psutil.STATUS_STOPPED in seen
    assert psutil.Process(steady.pid).status() != psutil.STATUS_STOPPED


def test_a_fault_that_is_not_due_yet_is_called_off(steady: ManagedProcess) -> None:
    injector = Injector([Fault(Action.KILL, "steady", 60, 0)], lambda name: steady, lambda name, again: None)
    injector.start()
    injector.finish()
    assert injector.runs[0].began is None
    assert "before it was due" in injector.runs[0].problem
    assert steady.alive()


def test_a_fault_that_cannot_be_carried_out_says_so() -> None:
    def nobody(name: str) -> ManagedProcess:
        raise HarnessError(f"No process is called {name}.")

    injector = Injector([Fault(Action.KILL, "ghost", 0, 0)], nobody, lambda name, again: None)
    injector.start()
    injector.finish()
    assert "ghost" in injector.runs[0].problem


@pytest.mark.parametrize(
    ("rates", "began", "seconds"),
    [
        ([100, 100, 0, 0, 90, 95, 100], 2.0, 2.0),
        ([100, 100, 0, 0, 90, 10, 100, 100], 2.5, 3.5),
        ([100, 100, 0, 0, 0, 0], 2.0, None),
        ([100, 100], None, None),
        ([], 0.5, None),
    ],
)
def test_recovery_is_two_good_seconds_in_a_row(rates: list[int], began: float | None, seconds: float | None) -> None:
    run = FaultRun(Fault(Action.KILL, "order", 2, 0), began=began)
    assert recovery_seconds(rates, run) == seconds
