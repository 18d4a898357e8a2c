"""Removing what a run has put on disk and into the cgroup tree."""

from __future__ import annotations

import errno
import shutil
import time
from pathlib import Path

_BUSY_SECONDS = 2.0
_POLL_SECONDS = 0.01


def remove_directory(path: Path) -> str | None:
    """Remove a folder with all that is in it; a sentence about what is left, or None. A missing one is fine."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        # Gone already, or a process that is just ending removed a file under our hands: the second look decides.
        shutil.rmtree(path, ignore_errors=True)
    except OSError as error:
        return f"The folder {path} cannot be removed: {error.strerror}: {error.filename}."
    return f"The folder {path} cannot be removed." if path.exists() else None


def remove_cgroup(path: Path) -> str | None:
    """Remove a cgroup with its children; a sentence if it is still in use, or None.

    A cgroup is removed by rmdir(2) alone, from the leaves up, and is busy until the last of its processes is reaped.
    """
    for folder in [*sorted((item for item in path.rglob("*") if item.is_dir()), reverse=True), path]:
        sentence = _remove_one_cgroup(folder)
        if sentence is not None:
            return sentence
    return None


def _remove_one_cgroup(folder: Path) -> str | None:
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno == errno.EBUSY and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                continue
            return f"The cgroup {folder} cannot be removed: {error.strerror}."
        return None
