"""The files of a stage folder, and which of them count."""

from __future__ import annotations

import os
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

OWN_FILES = ("stage.toml", "README.md")
"""Each stage has its own; they differ without being named in ``changes`` and are never synced."""

# design.md: "README, stage.toml, migrations and page templates not counted".
_NOT_COUNTED = ("stage.toml", "README.md", "*/README.md", "*/migrations/versions/*", "*/templates/*")


def is_ignored(path: str) -> bool:
    """Whether ``path`` is no part of a stage: byte code, or below a name that begins with a dot."""
    parts = PurePosixPath(path).parts
    return path.endswith(".pyc") or any(part == "__pycache__" or part.startswith(".") for part in parts)


def is_counted(path: str) -> bool:
    """Whether the changed lines of ``path`` count towards the stage's budget."""
    return not any(fnmatch(path, pattern) for pattern in _NOT_COUNTED)


def list_files(folder: Path) -> list[str]:
    """The files below ``folder`` that are part of a stage, relative and with ``/``, sorted.

    A symbolic link is listed as a file and not followed, so that ``check`` can refuse it.
    """
    found: list[str] = []
    for place, folders, files in os.walk(folder):
        linked = [name for name in folders if Path(place, name).is_symlink()]
        folders[:] = [name for name in folders if not is_ignored(name)]
        for name in (*files, *linked):
            found.append(Path(place, name).relative_to(folder).as_posix())
    return sorted(path for path in found if not is_ignored(path))


def read_bytes(file: Path) -> bytes | None:
    """The content of ``file``; None where there is none. Of a symbolic link: where it points, as git keeps it."""
    if file.is_symlink():
        return os.fsencode(file.readlink())
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
