"""``stages check``: is what every ``stage.toml`` says true, and is every lesson still small enough to read?

The rules are design.md's ("Stages are complete, thin, committed copies"). Everything that is wrong is reported at
once, a line each; the exit code is 1 if there is anything.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError
from harness.stages.diff import FileDiff, StageDiff, folder_diff
from harness.stages.manifest import MANIFEST, PACKAGES, ChangeKind, ManifestError, Stage, load_stage, stage_folders
from harness.stages.tree import OWN_FILES, list_files

# Changed lines (insertions and deletions); "about 200 lines" of a new module is read as: 200, and never above 250.
MAX_CHANGED_IN_FILE = 150
ADDED_MODULE_LINES = 200
MAX_ADDED_MODULE_LINES = 250
BUDGETS: Mapping[int, int] = {2: 500, 3: 700, 4: 900, 5: 1500}
"""Changed lines in all, by stage number."""

_SYNC = "python -m harness stages sync"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the outcome. ``where`` is a stage id, or "common"; ``path`` is relative to that folder."""

    where: str
    path: str
    message: str
    is_error: bool = True

    def __str__(self) -> str:
        return f"{'' if self.is_error else 'warning: '}{self.where} {self.path}: {self.message}"


@dataclass(frozen=True, slots=True)
class Row:
    """A stage's line in the summary table; no diff for the first stage."""

    stage: str
    files: int
    diff: StageDiff | None
    budget: int | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What ``check`` found out about a whole checkout."""

    findings: tuple[Finding, ...]
    rows: tuple[Row, ...]

    @property
    def violations(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.is_error]

    @property
    def warnings(self) -> list[Finding]:
        return [finding for finding in self.findings if not finding.is_error]


def check(root: Path) -> Outcome:
    """Check the stages and ``common/`` of the checkout ``root``.

    Raises:
        HarnessError: there is no stage at all.
    """
    folders = stage_folders(root / "stages")
    if not folders:
        raise HarnessError(f"There is no stage in {root / 'stages'}.", "A stage is a folder with a stage.toml.")
    findings: list[Finding] = []
    rows: list[Row] = []
    for place, folder in enumerate(folders):
        earlier = folders[:place]
        diff = folder_diff(earlier[-1], folder) if earlier else None
        budget = BUDGETS.get(int(folder.name[:2])) if folder.name[:2].isdecimal() else None
        rows.append(Row(folder.name, len(list_files(folder)), diff, budget))
        findings += _folder(folder)
        try:
            stage = load_stage(folder)
        except ManifestError as error:
            findings += (Finding(folder.name, MANIFEST, problem) for problem in error.problems)
            continue
        findings += _manifest(stage, earlier)
        if diff is not None:
            findings += _declared(stage, diff)
            findings += _size(stage, diff, budget)
    findings += _common(root / "common", [folder.name for folder in folders])
    return Outcome(tuple(findings), tuple(rows))


def _folder(folder: Path) -> Iterator[Finding]:
    """A stage is the whole platform, in real files."""
    for package in PACKAGES:
        if not any((folder / package).glob("*.py")):
            yield Finding(
                folder.name, package, "the package is missing; every stage holds gateway, user, concert, order"
            )
    for path in list_files(folder):
        if (folder / path).is_symlink():
            yield Finding(folder.name, path, "is a symbolic link; a stage holds copies")


def _manifest(stage: Stage, earlier: Sequence[Path]) -> Iterator[Finding]:
    """What ``stage.toml`` says about other stages and about the folder."""
    known = [folder.name for folder in earlier]
    expected = known[-1] if known else ""
    if stage.previous != expected:
        yield Finding(stage.id, MANIFEST, f'previous must be "{expected}"; found "{stage.previous}"')
    if any(name[:2] == stage.id[:2] for name in known):
        yield Finding(stage.id, MANIFEST, f"another stage has the number {stage.id[:2]} too")
    for hypothesis in stage.hypotheses:
        if hypothesis.against not in known:
            expectation = f"one of {', '.join(known)}" if known else "an earlier stage, and there is none"
            yield Finding(
                stage.id,
                MANIFEST,
                f'hypothesis "{hypothesis.id}": against must be {expectation}; found "{hypothesis.against}"',
            )
    for package in PACKAGES:
        if package not in stage.services:
            yield Finding(stage.id, MANIFEST, f"[services.{package}] is missing; a stage runs all four services")
    for name, worker in stage.workers.items():
        module = stage.folder.joinpath(*worker.module.split("."))
        if not (module.with_suffix(".py").is_file() or (module / "__main__.py").is_file()):
            yield Finding(stage.id, MANIFEST, f'workers.{name}.module names "{worker.module}", which is not there')


def _declared(stage: Stage, diff: StageDiff) -> Iterator[Finding]:
    """Every file is what ``[changes]`` says of it, or identical if that says nothing."""
    actual: dict[str, ChangeKind] = {file.path: file.status for file in diff.files}
    declared, here = stage.changes.named, set(list_files(stage.folder))
    for path in sorted({*actual, *declared}):
        is_now, said = actual.get(path), declared.get(path)
        if is_now == said or (said is None and path in OWN_FILES):
            continue
        message = (
            _undeclared(is_now, diff.previous, path)
            if said is None
            else _untrue(said, is_now, diff.previous, path in here)
        )
        yield Finding(stage.id, path, message)


def _undeclared(is_now: ChangeKind | None, previous: str, path: str) -> str:
    sync = f"(run: {_SYNC} {previous[:2]} {path})"
    if is_now == "added":
        return f"is not in {previous}, but [changes] does not name it (as added)"
    if is_now == "removed":
        return f"is missing here but in {previous}, and [changes] does not name it {sync}"
    return f"differs from {previous}, but [changes] does not name it {sync}"


def _untrue(said: ChangeKind, is_now: ChangeKind | None, previous: str, exists: bool) -> str:
    truth = {
        "added": f"it is not in {previous} (so it is added)",
        "modified": f"it is in {previous} too and differs (so it is modified)",
        "removed": f"it is only in {previous} (so it is removed)",
        None: f"it is identical to {previous}'s" if exists else f"there is no such file here or in {previous}",
    }
    return f"[changes] names it as {said}, but {truth[is_now]}"


def _size(stage: Stage, diff: StageDiff, budget: int | None) -> Iterator[Finding]:
    """A reader can take the lesson in: small edits, small modules, a bounded whole."""
    for file in diff.files:
        if file.counted:
            yield from _file_size(stage.id, file)
    if budget is not None and diff.counted_lines > budget:
        largest = sorted((file for file in diff.files if file.counted), key=lambda file: -file.changed)[:3]
        names = ", ".join(f"{file.path} {file.changed}" for file in largest)
        yield Finding(stage.id, "in all", f"{diff.counted_lines} changed lines, at most {budget} (largest: {names})")


def _file_size(stage: str, file: FileDiff) -> Iterator[Finding]:
    if file.status == "modified" and file.changed > MAX_CHANGED_IN_FILE:
        size = f"{file.changed} changed lines (+{file.additions} -{file.deletions})"
        yield Finding(stage, file.path, f"{size}, at most {MAX_CHANGED_IN_FILE} in a file that existed")
    if file.status == "added" and file.additions > MAX_ADDED_MODULE_LINES:
        yield Finding(stage, file.path, f"a new file of {file.additions} lines, at most {MAX_ADDED_MODULE_LINES}")
    elif file.status == "added" and file.additions > ADDED_MODULE_LINES:
        advice = f"a new file of {file.additions} lines; about {ADDED_MODULE_LINES} is meant"
        yield Finding(stage, file.path, advice, is_error=False)


def _common(common: Path, stages: Sequence[str]) -> Iterator[Finding]:
    """``common/`` knows no stage, so it cannot branch on one."""
    # "/stages/{id}" is a route of the contract (venues), so a slash or a word before "stages/" is no mention.
    names = "|".join(re.escape(name) for name in stages)
    mention = re.compile(rf"\b(?:{names})\b|(?<![\w/])stages/|\bstages/\d\d_")
    for path in list_files(common):
        if not path.endswith(".py"):
            continue
        for number, line in enumerate((common / path).read_text("utf-8", errors="replace").splitlines(), 1):
            if found := mention.search(line):
                yield Finding(
                    "common", f"{path}:{number}", f'mentions "{found[0]}"; what a stage changes lives in the stage'
                )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``stages check`` has no arguments of its own."""


def run(args: argparse.Namespace) -> int:
    """Print every finding, or else the summary table; exit code 1 if a rule is broken."""
    outcome = check(args.root)
    for finding in outcome.findings:
        print(finding)
    if outcome.violations:
        count = len(outcome.violations)
        print(f"{count} {'violation' if count == 1 else 'violations'}")
        return 1
    print(_table(outcome.rows))
    return 0


def _table(rows: Sequence[Row]) -> str:
    head = ("stage", "same", "modified", "added", "removed", "changed lines", "budget")
    cells = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    if row.diff is None:
        return (row.stage, f"{row.files} files", "-", "-", "-", "-", "-")
    counts = [row.diff.count(kind) for kind in ("modified", "added", "removed")]
    same = row.files - counts[0] - counts[1]
    budget = "-" if row.budget is None else str(row.budget)
    return (row.stage, str(same), *map(str, counts), str(row.diff.counted_lines), budget)
