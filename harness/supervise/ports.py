"""Free loopback ports that stay free until the server that was given one has bound it."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import threading
from functools import cache
from pathlib import Path

LOOPBACK = "127.0.0.1"
_LOWEST = 20_000
_ATTEMPTS = 200

_handed_out: set[int] = set()
_guard = threading.Lock()


def free_port() -> int:
    """A loopback TCP port that nobody listens on, and that no process of the harness has handed out to anybody else.

    It is taken from below the kernel's ephemeral range: a port from that range (what binding to port 0 gives) may
    become the local end of any outgoing connection before its server binds it, or while its server is restarted,
    and load generators open thousands of those.
    """
    with _guard:
        for _ in range(_ATTEMPTS):
            port = random.randrange(_LOWEST, _ephemeral_start())
            if port not in _handed_out and is_free(port) and _reserve(port):
                _handed_out.add(port)
                return port
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
        _handed_out.add(port)
        return port


def _reserve(port: int) -> bool:
    """Keeps the port for this process, until it ends; whether no other one had it.

    Runs go side by side, and seconds may pass until a server binds the port that it was given. Each port is one byte of
    a file, which is locked (POSIX record locks): the kernel gives up the locks of whoever dies.
    """
    try:
        fcntl.lockf(_reservations(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
    except (BlockingIOError, PermissionError):  # either, by POSIX: another process has it
        return False
    return True


@cache
def _reservations() -> int:
    """Opened once: to close any descriptor of the file would give up all locks."""
    path = Path(tempfile.gettempdir()) / f".fortickets-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: a connection of a former server in TIME_WAIT does not make the port taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


@cache
def _ephemeral_start() -> int:
    """The first port of the kernel's ephemeral range (ip_local_port_range in ip(7)); 32768 where none is told."""
    setting = Path("/proc/sys/net/ipv4/ip_local_port_range")
    start = int(setting.read_text().split()[0]) if setting.exists() else 32_768
    return max(start, _LOWEST + 1_000)
