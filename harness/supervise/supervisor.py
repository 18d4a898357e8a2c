"""The owner of everything that one run starts."""

from __future__ import annotations

import atexit
import os
import re
import secrets
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from harness.errors import HarnessError
from harness.supervise.cleaning import remove_cgroup, remove_directory
from harness.supervise.identity import ProcessIdentity, this_machine
from harness.supervise.interrupts import uninterrupted
from harness.supervise.marks import end_marked
from harness.supervise.process import Command, ManagedProcess, Start, execute
from harness.supervise.record import STATE_VARIABLE, ChildRecord, RunRecord

_GONE_SECONDS = 10.0


class Supervisor:
    """Starts processes, writes down what it owns before it matters, and ends and removes all of it.

    Use it as a context manager. ``scratch`` is a folder that exists as long as the run does; everything in it is
    removed at the end. Methods may be called from several threads.
    """

    def __init__(self, label: str, scratch: Path | None = None, *, start: Start = execute) -> None:
        """Open a run.

        Args:
            label: what the run is called in messages, as "quick" or "tests".
            scratch: the folder to make and to remove at the end, which must not exist yet or be empty; by default a
                new one in the temporary folder.
            start: how a process is started.
        """
        name = re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")[:24] or "run"
        self.run_id = f"{name}-{os.getpid()}-{secrets.token_hex(4)}"
        self.label = label
        self.scratch = scratch or Path(tempfile.gettempdir()) / f"fortickets-{self.run_id}"
        self.warnings: list[str] = []
        self._start = start
        self._lock = threading.RLock()
        self._processes: list[ManagedProcess] = []
        self._serial = 0
        self._owner_pid = os.getpid()
        self._closing = threading.Event()
        self._closed = False
        owner = ProcessIdentity.of(os.getpid())
        assert owner is not None, "a process that asks for its own identity runs"
        _require_unused(self.scratch)
        self._record = RunRecord(self.run_id, label, this_machine(), owner, self.scratch)
        try:
            self._record.save()
            self.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            self._record.remove()
            raise HarnessError(
                f"No run can be opened: {error.filename or self.scratch}: {error.strerror}.",
                f"A run needs to write to its scratch folder (TMPDIR) and to its records ({STATE_VARIABLE}).",
            ) from error
        # For a signal in the few instructions between `with` and the handlers of `uninterrupted`.
        atexit.register(self.stop_all)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop_all()

    @property
    def closing(self) -> threading.Event:
        """Set when the run is being stopped: whoever waits in another thread gives up."""
        return self._closing

    @property
    def processes(self) -> tuple[ManagedProcess, ...]:
        """What has been started and not been given up, in the order of the first start."""
        with self._lock:
            return tuple(self._processes)

    def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        uid: int | None = None,
        gid: int | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        end_signal: signal.Signals | None = None,
        grace_seconds: float = 10.0,
    ) -> ManagedProcess:
        """Start a process and write it into the run record.

        Args:
            name: what it is called in messages and in the record.
            argv: program and arguments.
            log: file that its stdout and stderr are appended to.
            env: its whole environment (default: this process's).
            cwd: its working folder (default: this process's).
            uid: user to run it as, with no supplementary groups (default: this one).
            gid: group to run it as.
            stop_signal: what asks it to stop.
            end_signal: what ends it when it will not be started again, and its data goes (default: ``stop_signal``).
            grace_seconds: how long it may take to; then it is killed.

        Raises:
            HarnessError: the program cannot be started, or the run is already being stopped.
        """
        with self._lock:
            if self._closing.is_set():
                raise HarnessError(f"{name} is not started: the run is being stopped.")
            self._serial += 1
            command = Command(
                name=name,
                argv=tuple(str(part) for part in argv),
                env=dict(os.environ if env is None else env),
                cwd=cwd,
                log=log,
                uid=uid,
                gid=gid,
                owner=f"{self.run_id}:{name}:{self._serial};",
                stop_signal=stop_signal,
                end_signal=end_signal or stop_signal,
                grace_seconds=grace_seconds,
            )
            return ManagedProcess(command, self._start, self._on_start)

    def run(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        log: Path,
        timeout: float,
        env: Mapping[str, str] | None = None,
        uid: int | None = None,
        gid: int | None = None,
        give_up: Callable[[], bool] = lambda: False,
    ) -> ManagedProcess:
        """Run a program to its end, supervised like the others; look at ``returncode`` of what comes back.

        Raises:
            HarnessError: it took longer than ``timeout`` seconds, the run is being stopped, or ``give_up()``.
        """
        process = self.spawn(name, argv, log=log, env=env, uid=uid, gid=gid, grace_seconds=1.0)
        deadline = time.monotonic() + timeout
        try:
            while process.wait(0.1) is None:
                if self._closing.is_set() or give_up():
                    raise HarnessError(f"{name} was broken off: the run is being stopped.")
                if time.monotonic() > deadline:
                    raise HarnessError(f"{name} did not finish within {timeout:.0f} s.", f"See its log, {log}.")
        finally:
            self.release(process)
        return process

    def release(self, process: ManagedProcess) -> None:
        """End a process before the run does, and forget it."""
        process.end()
        with self._lock:
            if process in self._processes:
                self._processes.remove(process)
                self._write_children()

    def own_directory(self, path: Path) -> None:
        """Have a folder outside the scratch folder removed at the end; call it before the folder is made."""
        with self._lock:
            self._record.directories.append(path)
            self._record.save()

    def own_cgroup(self, path: Path) -> None:
        """Have a cgroup and its children removed at the end; call it before the cgroup is made."""
        with self._lock:
            self._record.cgroups.append(path)
            self._record.save()

    def stop_all(self) -> None:
        """End every process in reverse order of start, then remove folders, cgroups and, last, the record.

        It may be called any number of times. One that cannot be ended does not keep the others from being ended;
        what went wrong is in `warnings`, and the record then stays for `sweep_leftovers`. In a process that was
        forked from the owner it does nothing.
        """
        if os.getpid() != self._owner_pid:
            return
        self._closing.set()
        with uninterrupted(), self._lock:
            if self._closed:
                return
            problems = [*self._end_processes(), *self._remove_traces()]
            self.warnings.extend(problems)
            if not problems:
                self._record.remove()
            self._closed = True
            atexit.unregister(self.stop_all)

    def _end_processes(self) -> list[str]:
        problems = []
        for process in reversed(self._processes):
            try:
                process.end()
            except (HarnessError, OSError) as error:
                problems.append(str(error))
        strays = end_marked(f"{self.run_id}:", _GONE_SECONDS)
        return [*problems, *(f"Process {stray.pid} does not end." for stray in strays)]

    def _remove_traces(self) -> list[str]:
        results = [remove_cgroup(path) for path in reversed(self._record.cgroups)]
        results += [remove_directory(path) for path in (*self._record.directories, self.scratch)]
        return [sentence for sentence in results if sentence is not None]

    def _on_start(self, process: ManagedProcess) -> None:
        with self._lock:
            if process not in self._processes:
                self._processes.append(process)
            self._write_children()

    def _write_children(self) -> None:
        if self._closed:
            return
        children = []
        for process in self._processes:
            identity = ProcessIdentity.of(process.pid) if process.alive() else None
            if identity is not None:
                children.append(ChildRecord(process.name, identity, int(process.end_signal)))
        self._record.children = children
        self._record.save()


def _require_unused(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise HarnessError(
            f"{folder} cannot be the scratch folder: it is in use, and would be removed at the end.",
            "Name a folder that does not exist yet.",
        )
