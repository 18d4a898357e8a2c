"""Writes a set of files: every new content is on the disk before the first file is replaced."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError


@dataclass(frozen=True, slots=True)
class Change:
    """New content of ``path`` below ``folder``; None deletes it, and the folders that it leaves empty."""

    folder: Path
    path: str
    content: bytes | None

    @property
    def file(self) -> Path:
        return self.folder / self.path

    @property
    def prepared(self) -> Path:
        """Where the content waits: beside the file, as a rename is atomic only within a file system."""
        return self.file.with_name(f".{self.file.name}.sync")


def write_all(changes: Sequence[Change]) -> None:
    """Make all ``changes``. A full disk or a missing right shows while they are prepared, and then none is made.

    Raises:
        HarnessError: a file cannot be written.
    """
    try:
        try:
            for change in changes:
                _prepare(change)
            for change in changes:
                _finish(change)
        finally:
            for change in changes:
                change.prepared.unlink(missing_ok=True)
    except OSError as error:
        raise HarnessError(
            f"Cannot write {error.filename or 'the files'}: {error.strerror or error}.",
            "Check the free space and the rights of that folder.",
        ) from error


def _prepare(change: Change) -> None:
    if change.content is None:
        return
    change.file.parent.mkdir(parents=True, exist_ok=True)
    change.prepared.write_bytes(change.content)
    if change.file.is_file():
        shutil.copymode(change.file, change.prepared)


def _finish(change: Change) -> None:
    if change.content is not None:
        change.prepared.replace(change.file)
        return
    change.file.unlink()
    for parent in change.file.parents:
        if parent == change.folder or any(parent.iterdir()):
            return
        parent.rmdir()
