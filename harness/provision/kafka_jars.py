"""The Kafka broker's jars in the user's cache: fetched once from Maven Central by jgo, checked at every start."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from harness.errors import HarnessError
from harness.provision.kafka_lock import KAFKA_VERSION, LockedJar, read_lock
from harness.provision.starting import Report, disk_full
from harness.supervise.record import exclusive

CACHE_VARIABLE = "FORTICKETS_CACHE_DIR"
"""Overrides the per-user folder that downloads are kept in."""

Fetch = Callable[[LockedJar, Path], Path]
"""Downloads one jar into a folder and returns the file."""

_REPORT_SECONDS = 1.5
_TIMEOUT_SECONDS = 20
_MEGABYTE = 1_000_000


def cache_folder() -> Path:
    """The folder of what is fetched or made once and used by every run, made if need be.

    Raises:
        HarnessError: it cannot be made.
    """
    override = os.environ.get(CACHE_VARIABLE)
    folder = (Path(override) if override else platformdirs.user_cache_path("fortickets")) / f"kafka-{KAFKA_VERSION}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(
            f"The cache folder {folder} cannot be made: {error.strerror}.",
            f"Set {CACHE_VARIABLE} to a folder that you may write to.",
        ) from error
    return folder


def kafka_jars(
    report: Report,
    *,
    folder: Path | None = None,
    jars: Sequence[LockedJar] | None = None,
    fetch: Fetch | None = None,
    given_up: Callable[[], bool] = lambda: False,
) -> list[Path]:
    """The broker's jars in class path order, each checked against ``kafka.lock``; what is missing is fetched.

    A jar gets its name only once it is whole and right, so an interrupted download goes on where it stopped, and a
    damaged file is fetched anew. Two runs with a cold cache wait for each other. Nothing is fetched, and jgo is not
    even imported, when all are there.

    Args:
        report: gets the progress.
        folder: where they are kept; by default in the user's cache.
        jars: what is wanted; by default the lock file.
        fetch: how one is downloaded; by default with jgo from Maven Central.
        given_up: asked between downloads whether to give up.

    Raises:
        HarnessError: no network, a file that is not what the lock file says, no space, or the run is being stopped.
    """
    folder = folder or cache_folder() / "jars"
    wanted = read_lock() if jars is None else list(jars)
    folder.mkdir(parents=True, exist_ok=True)
    if not _missing(wanted, folder):
        return [folder / jar.file_name for jar in wanted]
    with exclusive(
        folder.with_name(f"{folder.name}.lock"), lambda: report("Waiting for another run that is fetching Kafka.")
    ):
        missing = _missing(wanted, folder)
        if missing:
            _fetch_all(missing, folder, fetch or _fetch_with_jgo(), report, given_up)
    return [folder / jar.file_name for jar in wanted]


def _missing(wanted: Sequence[LockedJar], folder: Path) -> list[LockedJar]:
    return [jar for jar in wanted if not jar.matches(folder / jar.file_name)]


def _fetch_all(
    missing: Sequence[LockedJar], folder: Path, fetch: Fetch, report: Report, given_up: Callable[[], bool]
) -> None:
    total = sum(jar.size for jar in missing)
    report(f"Fetching Apache Kafka {KAFKA_VERSION}: {len(missing)} jars, {total / _MEGABYTE:.1f} MB, once.")
    done, told = 0, time.monotonic()
    # In the same folder, so that a jar can be moved to its place in one step; what a killed run left there goes too.
    for old in folder.glob("partial-*"):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as partial:
        for number, jar in enumerate(missing, 1):
            if given_up():
                raise HarnessError("Fetching Kafka was broken off: the run is being stopped.")
            _fetch_one(jar, Path(partial), folder, fetch)
            done += jar.size
            if time.monotonic() - told > _REPORT_SECONDS or number == len(missing):
                told = time.monotonic()
                report(f"Fetched {number} of {len(missing)} jars, {done / _MEGABYTE:.1f} MB.")


def _fetch_one(jar: LockedJar, partial: Path, folder: Path, fetch: Fetch) -> None:
    try:
        file = fetch(jar, partial)
        matches = jar.matches(file)
        if matches:
            file.replace(folder / jar.file_name)
    except OSError as error:  # requests' exceptions are OSErrors, too
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full("Kafka", folder) from error
        raise _unreachable(jar, error) from error
    except RuntimeError as error:  # jgo: in none of the repositories
        raise _unreachable(jar, error) from error
    if not matches:
        raise HarnessError(
            f"{jar.file_name} from Maven Central is not the file that kafka.lock names (size or SHA-256 differ).",
            "Run it again; if it stays so, a proxy or mirror on the way changes or cuts downloads.",
        )


def _unreachable(jar: LockedJar, error: Exception) -> HarnessError:
    reason = " ".join(str(error).split())
    return HarnessError(
        f"Kafka's {jar.file_name} cannot be fetched from Maven Central: {reason[:200] or type(error).__name__}.",
        "The first use of Kafka needs the network (HTTPS_PROXY is honoured); what is fetched already is kept.",
    )


def _fetch_with_jgo() -> Fetch:
    # Imported here: a warm cache needs none of it.
    from jgo.maven import MavenContext

    def fetch(jar: LockedJar, folder: Path) -> Path:
        context = MavenContext(repo_cache=folder, local_repos=[], timeout=_TIMEOUT_SECONDS)
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        return Path(component.artifact().resolve())

    return fetch
