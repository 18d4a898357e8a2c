"""The few things the stages tool asks of git: a file as it was, a three-way merge, a safe copy of what is replaced."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.errors import HarnessError


@dataclass(frozen=True, slots=True)
class Merge:
    """Outcome of a three-way merge: ``content`` is right only if there are no ``conflicts``."""

    content: bytes
    conflicts: tuple[str, ...]
    """Each hunk as git marks it, with its markers; a sentence if git cannot merge the file at all."""


def _git(arguments: Sequence[str], folder: Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *arguments], cwd=folder, input=stdin, capture_output=True, check=False)
    except FileNotFoundError:
        raise HarnessError("git is not installed, and stages sync needs it.", "Install git and try again.") from None


def resolve(revision: str, folder: Path) -> str | None:
    """The commit that ``revision`` means in the repository of ``folder``; None if there is no such commit."""
    found = _git(["rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"], folder)
    return found.stdout.decode().strip() if found.returncode == 0 else None


def committed(commit: str, file: Path) -> bytes | None:
    """The content of ``file`` in ``commit``; None if it was not there."""
    # "./" makes the path relative to the working folder, so a repository around the checkout does no harm.
    folder = next(parent for parent in file.parents if parent.is_dir())
    path = file.relative_to(folder).as_posix()
    shown = _git(["cat-file", "blob", f"{commit}:./{path}"], folder)
    return shown.stdout if shown.returncode == 0 else None


def committed_files(commit: str, folder: Path) -> list[str]:
    """The files below ``folder`` in ``commit``, relative to it."""
    listed = _git(["ls-tree", "-r", "-z", "--name-only", commit, "."], folder)
    return [path for path in listed.stdout.decode().split("\0") if path] if listed.returncode == 0 else []


def keep(content: bytes, folder: Path) -> str | None:
    """Store ``content`` as a loose object (``git cat-file -p <id>`` shows it); its id, or None outside a repository."""
    stored = _git(["hash-object", "-w", "--stdin"], folder, content)
    return stored.stdout.decode().strip() if stored.returncode == 0 else None


def merge(ours: bytes, base: bytes, theirs: bytes, labels: tuple[str, str, str]) -> Merge:
    """``git merge-file``: bring the change from ``base`` to ``theirs`` into ``ours``; ``labels`` in that order."""
    with TemporaryDirectory(prefix="stages-sync-") as name:
        folder = Path(name)
        files = [folder / "ours", folder / "base", folder / "theirs"]
        for file, content in zip(files, (ours, base, theirs), strict=True):
            file.write_bytes(content)
        options = ["-p", "--diff3", *(option for label in labels for option in ("-L", label))]
        merged = _git(["merge-file", *options, *(file.name for file in files)], folder)
    # Exit code: the number of conflicts up to 127, or 255 for an error such as a binary file.
    if merged.returncode == 0:
        return Merge(merged.stdout, ())
    if merged.returncode > 127:
        return Merge(b"", ("git cannot merge this file: " + merged.stderr.decode(errors="replace").strip(),))
    return Merge(b"", tuple(_hunks(merged.stdout.decode(errors="replace"), labels)))


def _hunks(marked: str, labels: tuple[str, str, str]) -> list[str]:
    """The parts of a merge result between its conflict markers."""
    begin, end = f"<<<<<<< {labels[0]}", f">>>>>>> {labels[2]}"
    hunks: list[str] = []
    inside: list[str] | None = None
    for line in marked.split("\n"):
        if line.rstrip("\r") == begin:
            inside = []
        if inside is not None:
            inside.append(line)
        if inside is not None and line.rstrip("\r") == end:
            hunks.append("\n".join(inside))
            inside = None
    return hunks
