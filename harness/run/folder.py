"""The folder of one run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from secrets import token_hex

from harness.errors import HarnessError


def new_folder(reports: Path, name: str, started: datetime) -> Path:
    """A new folder in ``reports``, named after when the run started and what it is.

    Raises:
        HarnessError: it cannot be made.
    """
    folder = reports / f"{started:%Y%m%d-%H%M%S}-{name}"
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        folder = folder.with_name(f"{folder.name}-{token_hex(2)}")
        folder.mkdir()
    except OSError as problem:
        raise HarnessError(
            f"The report folder {folder} cannot be made: {problem.strerror}.",
            "Free space or choose another with --reports.",
        ) from problem
    return folder
