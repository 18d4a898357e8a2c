"""Running PostgreSQL as ``nobody`` when the harness is run by root, as CI and containers do."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.provision.starting import Place, disk_full

_USER = "nobody"
_TRY_SECONDS = 20


@dataclass(frozen=True)
class Account:
    """A system user that has no rights to speak of."""

    uid: int
    gid: int


def account_for_postgres() -> Account | None:
    """The user that PostgreSQL has to run as, None for the present one.

    Raises:
        HarnessError: the harness is run by root, and the system has no user ``nobody``.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(_USER)
    except KeyError as error:
        raise HarnessError(
            f"PostgreSQL refuses to run as root, and this system has no user {_USER} to run it as.",
            "Run the command as an ordinary user, or use servers of your own with --provider external.",
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def adopt(place: Place, folder: Path, account: Account) -> Path:
    """A folder for the account to keep its data in: ``folder``, or one elsewhere if it cannot be reached.

    Only folders that this run has made are changed: the scratch folder may be walked through (not listed) by others,
    and the data folder belongs to the account.
    """
    place.supervisor.scratch.chmod(0o711)
    folder.parent.chmod(0o711)
    if not _can(account, ["test", "-x", folder]):
        folder.rmdir()
        folder = Path(tempfile.gettempdir()) / f"fortickets-{place.supervisor.run_id}-{folder.name}" / folder.name
        place.supervisor.own_directory(folder.parent)
        folder.mkdir(parents=True)
        folder.parent.chmod(0o711)
        if not _can(account, ["test", "-x", folder]):
            raise HarnessError(
                f"The user {_USER}, which PostgreSQL has to run as, cannot reach the temporary folder {folder.parent}.",
                "Point TMPDIR at a folder that every user may pass through, such as /tmp.",
            )
    os.chown(folder, account.uid, account.gid)
    folder.chmod(0o700)
    return folder


def runnable_copy(binaries: Path, target: Path, account: Account) -> Path:
    """The folder of programs to use: ``binaries``, or a copy for this run if the account cannot reach them.

    They lie out of reach if, for example, the virtual environment is in root's home folder. The copy (programs,
    libraries and shared data, some 20 MB) is not cached: it goes with the run, and so is never stale.
    """
    if _can(account, [binaries / "postgres", "--version"]):
        return binaries
    package = binaries.parent.parent
    copy = target / package.name / binaries.parent.name
    try:
        (copy / "bin").mkdir(parents=True)
        for program in ("postgres", "initdb"):
            shutil.copy2(binaries / program, copy / "bin")
        shutil.copytree(binaries.parent / "lib", copy / "lib", symlinks=True, ignore=shutil.ignore_patterns("*.a"))
        shutil.copytree(binaries.parent / "share", copy / "share", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, target / libraries.name, symlinks=True)
    except (shutil.Error, OSError) as error:
        # shutil.Error gathers the errors of many files as text.
        if os.strerror(errno.ENOSPC) in str(error):
            raise disk_full("PostgreSQL", target) from error
        raise HarnessError(f"PostgreSQL's programs cannot be copied to {target}: {error}.") from error
    if not _can(account, [copy / "bin" / "postgres", "--version"]):
        raise HarnessError(
            f"The user {_USER} cannot run programs from {target}.",
            "Point TMPDIR at a folder on a disk that is not mounted noexec, or run as an ordinary user.",
        )
    return copy / "bin"


def _can(account: Account, command: list[str | Path]) -> bool:
    """Whether the account gets through with a harmless command; asking the kernel beats reading permission bits."""
    try:
        done = subprocess.run(
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TRY_SECONDS,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0
