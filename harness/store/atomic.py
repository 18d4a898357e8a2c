"""Files that are either whole or absent."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from harness.errors import HarnessError


def write_atomic(path: Path, data: str | bytes) -> None:
    """Replace ``path`` by ``data`` in one step, making its folder if needed; text is written as UTF-8.

    A reader sees the old file or the new one, never half of it, because renaming is atomic within a file system;
    the temporary file is therefore made in the same folder, and synced first so that a crash leaves no empty file.

    Raises HarnessError if the folder cannot be written (no permission, full disk).
    """
    raw = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)  # mkstemp's 0600 would hide a report from the web server that shows it
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise HarnessError(
            f"Cannot write {path}: {error.strerror or error}.",
            "Check the free space and the rights of that folder.",
        ) from error
