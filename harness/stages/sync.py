"""``stages sync``: carry a fix in one stage forward through the later ones.

From stage to stage the same step. Where ``[changes]`` does not name the file, it becomes the previous stage's. Where
it is declared modified, what happened to the previous stage's file (its base against its new content) is merged into
this stage's with ``git merge-file``. The base is what git has of the previous stage's file (``HEAD`` or ``--base``),
or the version of an earlier, uncommitted sync if this stage has taken that in already.

A conflict changes nothing in that stage or behind it; the stages before it are done. Nothing is written until
everything is worked out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal

from harness.errors import HarnessError
from harness.stages import git
from harness.stages.manifest import Stage, discover_stages, pick_stage
from harness.stages.tree import OWN_FILES, is_ignored, list_files, read_bytes
from harness.stages.write import Change, write_all

StepKind = Literal["same", "copied", "deleted", "merged", "conflict", "waits"]


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one file in one later stage. ``old`` and ``new`` are its content; None where there is no file."""

    stage: Stage
    path: str
    kind: StepKind
    old: bytes | None
    new: bytes | None
    detail: str = ""
    """Why, where that is not plain from the kind; the hunks of a conflict."""

    @property
    def writes(self) -> bool:
        return self.kind in ("copied", "deleted", "merged")


@dataclass(frozen=True, slots=True)
class _Carried:
    """The file as the previous stage hands it on."""

    stage: str
    base: bytes | None
    synced: bytes | None
    """What the folder held before this sync: the result of an earlier one that is not committed, perhaps."""
    new: bytes | None


def plan(source: Stage, later: Sequence[Stage], path: str, commit: str | None) -> list[Step]:
    """What a sync of ``path`` from ``source`` does in each of the ``later`` stages; reads only.

    Raises:
        HarnessError: ``path`` is in ``source`` neither now nor in ``commit``, or is a symbolic link.
    """
    file = source.folder / path
    if file.is_symlink():
        raise HarnessError(f"{source.id} {path} is a symbolic link.", "A stage holds copies: put the file there.")
    base, new = _committed(commit, file), read_bytes(file)
    if new is None and base is None:
        near = get_close_matches(path, list_files(source.folder), n=1)
        hint = f'Did you mean "{near[0]}"?' if near else "Paths are relative to the stage folder, as concert/app.py."
        raise HarnessError(f'{source.id} has no file "{path}", neither now nor in git.', hint)
    carried = _Carried(source.id, base, None, new)
    steps: list[Step] = []
    for stage in later:
        if any(step.kind == "conflict" for step in steps):
            steps.append(Step(stage, path, "waits", None, None))
            continue
        step = _step(carried, stage, path)
        steps.append(step)
        base = _committed(commit, stage.folder / path)
        if base is None:  # a stage that was never committed: what it held before, or else what reached it
            base = step.old if step.old != step.new else carried.base
        carried = _Carried(stage.id, base, step.old, step.new)
    return steps


def _committed(commit: str | None, file: Path) -> bytes | None:
    return git.committed(commit, file) if commit else None


def _step(carried: _Carried, stage: Stage, path: str) -> Step:
    mine, new = read_bytes(stage.folder / path), carried.new
    match stage.changes.named.get(path):
        case "removed":
            return Step(stage, path, "same", mine, mine, "[changes] removes it here")
        case "added" if new is None:
            return Step(stage, path, "same", mine, mine, "[changes] adds it here, so it is another file")
        case "added":
            problem = (
                f"[changes] says it is added here, but {carried.stage} has it now: declare it modified, or rename one"
            )
            return Step(stage, path, "conflict", mine, mine, problem)
        case "modified":
            return _merge(carried, stage, path, mine)
    if mine == new:
        return Step(stage, path, "same", mine, new)
    detail = "" if mine in (None, carried.base, carried.synced) else f"replaces a version that is not {carried.stage}'s"
    return Step(stage, path, "deleted" if new is None else "copied", mine, new, detail)


def _merge(carried: _Carried, stage: Stage, path: str, mine: bytes | None) -> Step:
    def stays(kind: StepKind, detail: str = "") -> Step:
        return Step(stage, path, kind, mine, mine, detail)

    previous, base, new = carried.stage, carried.base, carried.new
    if mine == new:
        return stays("same")
    if mine is None:
        return stays("conflict", "[changes] says it is modified here, but there is no such file")
    if new is None:
        return stays("conflict", f"{previous} has it no longer, and it is modified here")
    if base is None:
        return stays(
            "conflict", f"git has no earlier version of {previous}'s to merge from: name a commit with --base REV"
        )
    labels = (stage.id, f"{previous} before", f"{previous} now")
    if carried.synced is not None and git.merge(mine, base, carried.synced, labels) == git.Merge(mine, ()):
        base = carried.synced
    if base == new:
        return stays(
            "same", f"nothing to merge, {previous}'s is as in git (committed already? name an older one: --base REV)"
        )
    merged = git.merge(mine, base, new, labels)
    if merged.conflicts:
        return stays("conflict", "\n".join(merged.conflicts))
    return stays("same") if merged.content == mine else Step(stage, path, "merged", mine, merged.content)


def select_paths(source: Stage, text: str, commit: str | None) -> list[str]:
    """The paths that a person means by ``text``: a file or a folder, relative to the stage folder or to where they are.

    Raises:
        HarnessError: it lies outside the stage, or is a file that each stage has for itself.
    """
    where = Path(text).resolve()
    relative = where.relative_to(source.folder) if where.is_relative_to(source.folder) else Path(os.path.normpath(text))
    path = relative.as_posix()
    if relative.is_absolute() or ".." in relative.parts:
        raise HarnessError(
            f"{text} is not in {source.id}.", "Paths are relative to the stage folder, as concert/app.py."
        )
    if path in OWN_FILES:
        raise HarnessError(f"Each stage has its own {path}, so there is nothing to carry forward.")
    if path != "." and is_ignored(path):
        raise HarnessError(f"{path} is no part of a stage.", "Byte code and names that begin with a dot are left out.")
    known = {*list_files(source.folder), *(git.committed_files(commit, source.folder) if commit else ())}
    folder = PurePosixPath(path)
    inside = [name for name in known if folder in PurePosixPath(name).parents]
    return sorted(name for name in inside if name not in OWN_FILES and not is_ignored(name)) or [path]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``stages sync``."""
    parser.add_argument("stage", metavar="NN", help='the stage that has the fix: "1", "01" or "01_baseline"')
    parser.add_argument("paths", metavar="PATH", nargs="+", help="file or folder, relative to the stage folder")
    parser.add_argument("--base", metavar="REV", help="the commit before the fix (default: HEAD, the fix uncommitted)")
    parser.add_argument("--dry-run", action="store_true", help="show what would happen, write nothing")


def run(args: argparse.Namespace) -> int:
    """Plan every path, write what can be done, report the rest; exit code 1 if there is a conflict."""
    stages = discover_stages(args.root / "stages")
    source = pick_stage(args.stage, stages)
    later = stages[stages.index(source) + 1 :]
    commit = git.resolve(args.base or "HEAD", args.root)
    if args.base and commit is None:
        raise HarnessError(f'git knows no commit "{args.base}".', "Name one as for git show, such as HEAD~1.")
    paths = dict.fromkeys(path for text in args.paths for path in select_paths(source, text, commit))
    steps = [step for path in paths for step in plan(source, later, path, commit)]
    kept = {} if args.dry_run else _write(steps)
    _report(steps, kept, args.dry_run)
    return 1 if any(step.kind == "conflict" for step in steps) else 0


def _write(steps: Sequence[Step]) -> dict[str, str]:
    """Write all; the object ids under which git keeps replaced versions that may exist nowhere else, by file."""
    writing = [step for step in steps if step.writes]
    kept = {_file(step): _keep(step) for step in writing if step.detail and step.old is not None}
    write_all([Change(step.stage.folder, step.path, step.new) for step in writing])
    return kept


def _keep(step: Step) -> str:
    object_id = git.keep(step.old or b"", step.stage.folder)
    if object_id is None:
        raise HarnessError(f"{_file(step)} {step.detail}, and there is no git to keep it.", "Move it away first.")
    return object_id


def _file(step: Step) -> str:
    return f"{step.stage.id} {step.path}"


def _report(steps: Sequence[Step], kept: dict[str, str], dry_run: bool) -> None:
    if dry_run:
        print("Dry run: nothing is written.")
    several = len({step.path for step in steps}) > 1
    shown = [step for step in steps if not (several and step.kind == "same")]
    for step in shown:
        print(f"{_file(step)}: {_outcome(step, dry_run)}")
        if _file(step) in kept:
            print(f"  the replaced version: git cat-file -p {kept[_file(step)]}")
    for step in steps:
        if step.kind == "conflict" and "\n" in step.detail:
            print(f"\n{_file(step)} would be:\n{step.detail}")
    for step in steps:
        if step.kind == "conflict":
            print(
                f"\n{_file(step)}: merge by hand, then: python -m harness stages sync {step.stage.id[:2]} {step.path}"
            )
    if not any(step.writes or step.kind == "conflict" for step in steps):
        print("Nothing to do: the later stages are up to date." if steps else "There is no later stage.")


def _outcome(step: Step, dry_run: bool) -> str:
    if step.kind == "conflict":
        return "CONFLICT, left untouched: " + ("see below" if "\n" in step.detail else step.detail)
    if step.kind == "waits":
        return "waits for the conflict, left untouched"
    done = "up to date" if step.kind == "same" else f"would be {step.kind}" if dry_run else step.kind
    return f"{done} ({step.detail})" if step.detail else done
