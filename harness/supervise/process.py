"""One process that a run has started: ask it to stop, kill it, pause it, start it again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import psutil

from harness.errors import HarnessError
from harness.supervise.interrupts import hurry
from harness.supervise.marks import OWNER_VARIABLE, end_marked, signal_all, wait_gone

_POLL_SECONDS = 0.01
_KILL_SECONDS = 10.0
_STOP_SECONDS = 1.0
_TAIL_BYTES = 65_536


@dataclass(frozen=True)
class Command:
    """What is run, as whom, and how it likes to be stopped."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path | None
    log: Path
    uid: int | None
    gid: int | None
    owner: str
    stop_signal: signal.Signals
    end_signal: signal.Signals
    grace_seconds: float


class Child(Protocol):
    """A process that was started, as `subprocess.Popen` has it."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its exit code, -N after signal N; None while it runs."""

    def send_signal(self, sig: int, /) -> None:
        """Sends a signal, unless it has ended."""


Start = Callable[[Command, BinaryIO], Child]
"""Starts a command in a session of its own, with what it prints appended to a file; raises OSError."""


def execute(command: Command, log: BinaryIO) -> Child:
    """Starts a program as everybody does."""
    return subprocess.Popen(
        command.argv,
        env={**command.env, OWNER_VARIABLE: command.owner},
        cwd=command.cwd,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        user=command.uid,
        group=command.gid,
        extra_groups=None if command.uid is None else [],
    )


class ManagedProcess:
    """A process in a session of its own, so that a terminal's Ctrl-C reaches the harness alone.

    What ends, pauses or resumes it acts on its whole tree. The tree is found by descent and by the inherited mark in
    the environment (`harness.supervise.marks`), not by process group: PostgreSQL's backends, for one, each make a
    session of their own, and the id of a group whose leader has ended may come to belong to somebody else.
    """

    def __init__(self, command: Command, start: Start, on_start: Callable[[ManagedProcess], None]) -> None:
        """``start`` the ``command``; ``on_start`` is called right after that, here and in `respawn`."""
        self._command = command
        self._start = start
        self._on_start = on_start
        self._log_start = 0
        self._child = self._launch()
        on_start(self)

    @property
    def name(self) -> str:
        return self._command.name

    @property
    def argv(self) -> tuple[str, ...]:
        return self._command.argv

    @property
    def env(self) -> Mapping[str, str]:
        """The environment that it was started with."""
        return self._command.env

    @property
    def log(self) -> Path:
        return self._command.log

    @property
    def end_signal(self) -> signal.Signals:
        return self._command.end_signal

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def returncode(self) -> int | None:
        """The exit code, -N after signal N, None while it runs."""
        return self._child.poll()

    def alive(self) -> bool:
        return self._child.poll() is None

    def wait(self, timeout: float) -> int | None:
        """Wait at most ``timeout`` seconds for it to end; its exit code, or None if it still runs."""
        deadline = time.monotonic() + timeout
        while self.alive() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return self.returncode

    def terminate(self, grace: float | None = None) -> None:
        """Send the stop signal, wait up to ``grace`` seconds (default: as it was spawned), then kill what is left.

        A paused process is resumed first, since it could not act upon the signal. `interrupts.hurry` cuts the wait.
        """
        self._ask(self._command.stop_signal, grace)

    def end(self) -> None:
        """The same for good: with the end signal, as what it has stored is thrown away."""
        self._ask(self._command.end_signal, None)

    def _ask(self, number: signal.Signals, grace: float | None) -> None:
        tree = self._tree()
        if self.alive():
            self._child.send_signal(number)
            signal_all(tree, signal.SIGCONT)
        deadline = time.monotonic() + (self._command.grace_seconds if grace is None else grace)
        while self.alive() and time.monotonic() < deadline and not hurry.is_set():
            time.sleep(_POLL_SECONDS)
        self._kill(tree)

    def kill(self) -> None:
        """SIGKILL for it and its descendants, as when the machine's memory runs out, and wait until they are gone."""
        self._kill(self._tree())

    def pause(self) -> None:
        """SIGSTOP for the whole tree: it stays connected, and answers nothing."""
        self._require_alive("paused")
        # The parent first: once it stands still, it starts no further children.
        self._child.send_signal(signal.SIGSTOP)
        signal_all(self._tree(), signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT for the whole tree."""
        self._require_alive("resumed")
        signal_all(reversed(self._tree()), signal.SIGCONT)

    def respawn(self) -> None:
        """Start it again, after it has ended, with the same arguments, environment and log."""
        if self.alive():
            raise HarnessError(f"{self.name} (process {self.pid}) still runs and cannot be started a second time.")
        self._child = self._launch()
        self._on_start(self)

    def tail(self, lines: int = 20) -> list[str]:
        """The last lines that it has written since it was started last."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as handle:
            handle.seek(max(self._log_start, handle.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return handle.read().decode("utf-8", errors="replace").splitlines()[-lines:]

    def _launch(self) -> Child:
        command = self._command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with command.log.open("ab") as log:
                self._log_start = log.tell()
                return self._start(command, log)
        except OSError as error:
            raise HarnessError(
                f"{command.name} cannot be started: {error.strerror}: {error.filename or command.argv[0]}.",
            ) from error

    def _stand_still(self) -> None:
        """Stop the parent, so that it has no further children: PostgreSQL starts one when another of them is killed."""
        if not self.alive():
            return
        self._child.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + _STOP_SECONDS
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(self.pid)
            while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
                if time.monotonic() > deadline:  # in a system call that cannot be interrupted
                    return
                time.sleep(_POLL_SECONDS / 10)

    def _require_alive(self, verb: str) -> None:
        if not self.alive():
            raise HarnessError(f"{self.name} has ended (exit code {self.returncode}) and cannot be {verb}.")

    def _tree(self) -> list[psutil.Process]:
        """The process and its descendants, parents before children; empty when it has ended."""
        if not self.alive():
            return []
        try:
            process = psutil.Process(self.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _kill(self, tree: list[psutil.Process]) -> None:
        """End what is left of ``tree`` (taken earlier: an ended parent's children are no longer found by descent)."""
        self._stand_still()
        found = {*tree, *self._tree()}
        signal_all(found, signal.SIGKILL)
        if self.wait(_KILL_SECONDS) is None:
            raise HarnessError(f"{self.name} (process {self.pid}) does not end, even by SIGKILL.")
        wait_gone(found, _KILL_SECONDS)
        end_marked(self._command.owner, _KILL_SECONDS)
