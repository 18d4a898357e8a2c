"""``stages diff``: what a learner reads between two stages, and the same as data for the HTML report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from difflib import unified_diff
from io import StringIO
from pathlib import Path

from harness.errors import HarnessError
from harness.stages.manifest import ChangeKind, Stage, discover_stages, pick_stage
from harness.stages.tree import OWN_FILES, is_counted, list_files, read_bytes

_CONTEXT = 3


@dataclass(frozen=True, slots=True)
class FileDiff:
    """One file that differs. ``additions`` and ``deletions`` are lines, as ``git diff --numstat`` counts them."""

    path: str
    status: ChangeKind
    additions: int
    deletions: int
    text: str
    """Unified diff with its ``---`` and ``+++`` lines; a new file in full; one sentence for a binary file."""

    @property
    def changed(self) -> int:
        """Insertions and deletions together, in lines."""
        return self.additions + self.deletions

    @property
    def counted(self) -> bool:
        """False for README, stage.toml, migrations and page templates, which the stage's budget leaves out."""
        return is_counted(self.path)


@dataclass(frozen=True, slots=True)
class StageDiff:
    """Every file that differs between two stages: stage.toml and README first, then by path."""

    previous: str
    stage: str
    files: tuple[FileDiff, ...]

    @property
    def additions(self) -> int:
        return sum(file.additions for file in self.files)

    @property
    def deletions(self) -> int:
        return sum(file.deletions for file in self.files)

    @property
    def counted_lines(self) -> int:
        """Changed lines that count towards the stage's budget."""
        return sum(file.changed for file in self.files if file.counted)

    def count(self, status: ChangeKind) -> int:
        """How many files have this status."""
        return sum(file.status == status for file in self.files)

    @property
    def headline(self) -> str:
        """One line: how many files and lines differ."""
        kinds = ", ".join(f"{self.count(kind)} {kind}" for kind in ("modified", "added", "removed"))
        size = f"+{self.additions} -{self.deletions}"
        return f"{self.previous} -> {self.stage}: {_files(len(self.files))}, {size} ({kinds})"


def stage_diff(previous: Stage, stage: Stage) -> StageDiff:
    """The difference that a reader sees going from ``previous`` to ``stage``."""
    return folder_diff(previous.folder, stage.folder)


def folder_diff(before: Path, after: Path) -> StageDiff:
    """:func:`stage_diff` of two folders, whether or not their ``stage.toml`` can be read."""
    paths = sorted({*list_files(before), *list_files(after)}, key=lambda path: (_rank(path), path))
    files = (_file_diff(path, before, after) for path in paths)
    return StageDiff(before.name, after.name, tuple(file for file in files if file is not None))


def _rank(path: str) -> int:
    return OWN_FILES.index(path) if path in OWN_FILES else len(OWN_FILES)


def _file_diff(path: str, before: Path, after: Path) -> FileDiff | None:
    old, new = read_bytes(before / path), read_bytes(after / path)
    if old == new:
        return None
    status: ChangeKind = "added" if old is None else "removed" if new is None else "modified"
    names = (
        "/dev/null" if old is None else f"{before.name}/{path}",
        "/dev/null" if new is None else f"{after.name}/{path}",
    )
    try:
        lines = _unified(*names, (old or b"").decode(), (new or b"").decode())
    except UnicodeDecodeError:
        return FileDiff(path, status, 0, 0, f"Binary file {path} is {status}.\n")
    body = lines[2:]
    additions, deletions = (sum(line.startswith(sign) for line in body) for sign in "+-")
    return FileDiff(path, status, additions, deletions, "".join(lines))


def _unified(old_name: str, new_name: str, old: str, new: str) -> list[str]:
    # StringIO splits at "\n" alone, as git does; str.splitlines would also split at a form feed.
    lines = list(unified_diff(list(StringIO(old)), list(StringIO(new)), old_name, new_name, n=_CONTEXT))
    if not lines:  # an empty file is new or gone: nothing to show, but its name
        lines = [f"--- {old_name}\n", f"+++ {new_name}\n"]
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]


def _files(count: int) -> str:
    return f"{count} file" if count == 1 else f"{count} files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``stages diff``."""
    parser.add_argument("first", metavar="NN", help='the earlier stage: "1", "01" or "01_baseline"')
    parser.add_argument("second", metavar="MM", help="the later stage")
    parser.add_argument("--stat", action="store_true", help="only names and line counts")
    parser.add_argument("--path", metavar="P", help="only this file or folder, relative to the stage folder")


def run(args: argparse.Namespace) -> int:
    """Print the difference; always exit code 0, as a difference is what was asked for."""
    stages = discover_stages(args.root / "stages")
    first, second = pick_stage(args.first, stages), pick_stage(args.second, stages)
    diff = stage_diff(first, second)
    if args.path is not None:
        diff = _restricted(diff, args.path, first, second)
    lines = [diff.headline, *_stat(diff)]
    if not args.stat:
        lines += [line for file in diff.files for line in ("", *file.text.removesuffix("\n").split("\n"))]
    _show(lines)
    return 0


def _restricted(diff: StageDiff, path: str, first: Stage, second: Stage) -> StageDiff:
    wanted = path.strip("/")
    if not any((stage.folder / wanted).exists() for stage in (first, second)):
        raise HarnessError(
            f'Neither {first.id} nor {second.id} has "{path}".',
            "Paths are relative to the stage folder, such as concert/app.py or concert.",
        )
    files = tuple(f for f in diff.files if wanted in ("", ".", f.path) or f.path.startswith(f"{wanted}/"))
    return StageDiff(diff.previous, diff.stage, files)


def _stat(diff: StageDiff) -> list[str]:
    width = max((len(file.path) for file in diff.files), default=0)
    return [
        f"  {file.status:<8}  {file.path:<{width}}  {f'+{file.additions}':>5} -{file.deletions}" for file in diff.files
    ]


def _show(lines: list[str]) -> None:
    """Print ``lines``, coloured as ``git diff`` colours them where a person is looking."""
    if not sys.stdout.isatty():
        sys.stdout.writelines(f"{line}\n" for line in lines)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    for number, line in enumerate(lines):
        # Text, not markup: source code may hold square brackets.
        console.print(Text(line, style="bold" if number == 0 else _style(line)))


def _style(line: str) -> str:
    styles = {"---": "bold", "+++": "bold", "@@": "cyan", "+": "green", "-": "red"}
    return next((style for prefix, style in styles.items() if line.startswith(prefix)), "")
