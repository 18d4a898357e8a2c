"""The processes of stages, forked from one that has loaded their libraries.

Of the 1.5 s of CPU that a service takes to start, it imports libraries for 1.1 s, and the tests start some two hundred
processes of stages. What is forked here runs as ``python -m`` would have it, with the environment, folder and log that
it is given; only /proc shows it as what it was forked from. ``run_all.py``, and so its own tests, start each program
anew.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, Self

import psutil

from harness.supervise import Child, Command, execute
from harness.supervise.marks import OWNER_VARIABLE

# What is run as a program must not be imported before; what it imports should be.
PROGRAMS = ("common.serve", "common.migrations")
LIBRARIES = (
    "aiokafka", "alembic.command", "alembic.context", "argon2", "jinja2", "psycopg", "redis.asyncio",
    "sqlalchemy.dialects.postgresql.asyncpg", "sqlalchemy.dialects.postgresql.psycopg", "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
)  # fmt: skip

# More than any environment takes.
_MESSAGE_BYTES = 131_072
_END_SECONDS = 10.0


class ForkServer:
    """Starts what it can by forking (``PROGRAMS``), and everything else as the harness does.

    The server is started when it is first needed. It ends when this is closed, or when whoever has it is killed; what
    was forked stays, as other children of a killed run do (`harness.supervise.leftovers`).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server: tuple[subprocess.Popen[bytes], socket.socket] | None = None
        self._codes: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            process, control = self._server
            control.close()
            process.wait(_END_SECONDS)

    def start(self, command: Command, log: BinaryIO) -> Child:
        """Starts a command (`harness.supervise.process.Start`).

        Raises:
            EOFError: the server has ended.
        """
        module = command.argv[2] if command.argv[:2] == (sys.executable, "-m") else None
        if module not in PROGRAMS or command.uid is not None:
            return execute(command, log)
        request = {
            "module": module,
            "arguments": command.argv[3:],
            "environment": dict(command.env),
            "folder": str(command.cwd or Path.cwd()),
            "log": str(command.log),
        }
        with self._lock:
            control = self._connected(command.owner.partition(":")[0])
            control.send(json.dumps(request).encode())
            while "started" not in (answer := self._receive(control)):
                self._note(answer)
            pid = answer["started"]
            self._codes.pop(pid, None)  # of a process long gone that had the same number
        return Forked(self, pid)

    def code_of(self, pid: int) -> int | None:
        """The exit code of what was forked, None while it runs."""
        with self._lock:
            if pid not in self._codes and self._server is not None:
                control = self._server[1]
                while select.select([control], [], [], 0)[0]:
                    self._note(self._receive(control))
            return self._codes.get(pid)

    def _connected(self, run: str) -> socket.socket:
        if self._server is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                argv = [sys.executable, "-m", __name__, str(theirs.fileno())]
                # What is forked inherits the mark, and is found by it when the run has been killed. The session is its
                # own: Ctrl-C is for pytest, which then ends what was forked in order.
                process = subprocess.Popen(
                    argv,
                    env={**os.environ, OWNER_VARIABLE: f"{run}:fork-server;"},
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            self._server = process, ours
        return self._server[1]

    @staticmethod
    def _receive(control: socket.socket) -> dict[str, int]:
        message = control.recv(_MESSAGE_BYTES)
        if not message:
            raise EOFError("the fork server has ended; see what it printed")
        answer: dict[str, int] = json.loads(message)
        return answer

    def _note(self, answer: dict[str, int]) -> None:
        self._codes[answer["ended"]] = answer["code"]


class Forked:
    """What was forked, as a child of ours would be (`harness.supervise.process.Child`)."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self._server = server
        self.pid = pid
        # Knows when it was started, and so never sends a signal to another process of the same number.
        self._process: psutil.Process | None = None
        with suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)

    def poll(self) -> int | None:
        return self._server.code_of(self.pid)

    def send_signal(self, sig: int, /) -> None:
        if self._process is not None and self.poll() is None:
            with suppress(psutil.NoSuchProcess):
                self._process.send_signal(sig)


@dataclass(frozen=True)
class _Program:
    """What a forked process is to run."""

    module: str
    arguments: list[str]
    environment: dict[str, str]
    folder: str
    log: str

    def become(self) -> None:
        """Runs it in this process."""
        os.setsid()
        _redirect(self.log)
        os.environ.clear()
        os.environ.update(self.environment)
        os.chdir(self.folder)
        # As Python itself would begin it (docs: "The initialization of the sys.path module search path").
        own = self.environment.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:] = [self.folder, *own, *_path_of_the_installation()]
        sys.argv[1:] = self.arguments
        runpy.run_module(self.module, run_name="__main__", alter_sys=True)


def _redirect(log: str) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    printed = os.open(log, os.O_WRONLY | os.O_APPEND)
    for source, target in ((nothing, 0), (printed, 1), (printed, 2)):
        os.dup2(source, target)
    os.close(nothing)
    os.close(printed)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, write_through=True)  # type: ignore[union-attr]  # PYTHONUNBUFFERED


def _path_of_the_installation() -> list[str]:
    return [path for path in sys.path if path.startswith((sys.prefix, sys.base_prefix))]


def _load() -> None:
    common = import_module("common")
    names = [f"common.{module.name}" for module in pkgutil.iter_modules(common.__path__)]
    for name in (*LIBRARIES, *names):
        if name not in PROGRAMS:
            import_module(name)
    if (threads := psutil.Process().num_threads()) > 1:
        raise RuntimeError(f"a library has started {threads - 1} threads, which no fork takes along")
    # Nothing of this becomes garbage; to look through it would have every child copy it.
    gc.collect()
    gc.freeze()


def serve(control: socket.socket) -> _Program | None:
    """Forks what ``control`` asks for and tells what has ended, until it is closed; in a child: what to become."""
    waking, woken = socket.socketpair()
    for end in (waking, woken):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking.fileno())
    with waking, woken, control:
        while True:
            ready, _, _ = select.select([control, woken], [], [])
            if woken in ready:
                woken.recv(_MESSAGE_BYTES)
                _tell_ended(control)
            if control in ready:
                message = control.recv(_MESSAGE_BYTES)
                if not message:
                    return None
                pid = os.fork()
                if pid == 0:
                    signal.set_wakeup_fd(-1)
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    return _Program(**json.loads(message))
                _tell(control, started=pid)


def _tell_ended(control: socket.socket) -> None:
    with suppress(ChildProcessError):  # there is none at all
        while (ended := os.waitpid(-1, os.WNOHANG))[0] != 0:
            _tell(control, ended=ended[0], code=os.waitstatus_to_exitcode(ended[1]))


def _tell(control: socket.socket, **what: Any) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # nobody is there any more; the next look says so
        control.send(json.dumps(what).encode())


if __name__ == "__main__":
    _load()
    program = serve(socket.socket(fileno=int(sys.argv[1])))
    if program is not None:
        program.become()
