"""What a killed run left behind, found by its record and ended: that, and nothing else."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil

from harness.supervise.cleaning import remove_cgroup, remove_directory
from harness.supervise.identity import this_machine
from harness.supervise.marks import end_marked, marked, signal_all, wait_gone
from harness.supervise.record import ChildRecord, RunRecord, exclusive, runs_folder

_GRACE_SECONDS = 3.0
_KILL_SECONDS = 10.0


def sweep_leftovers() -> list[str]:
    """End and remove what dead runs of this user left behind; sentences of what was done.

    A process is touched only if its pid *and* start time are in the record of a run whose owner is dead, if it
    descends from such a process, or if it carries that run's mark in its environment. Several harnesses may sweep
    at the same time: a lock lets one of them at a time.
    """
    folder = runs_folder()
    sentences = []
    with exclusive(folder / "sweep.lock"):
        for path in sorted(folder.glob("*.json")):
            sentences += _sweep_one(path)
    return sentences


def _sweep_one(path: Path) -> list[str]:
    try:
        record = RunRecord.load(path)
    except FileNotFoundError:
        return []
    except ValueError:
        # Nothing can be told from it; records are replaced in one step, so no run is just writing it.
        path.unlink(missing_ok=True)
        return [f"Removed an unreadable run record, {path.name}."]
    here, there = this_machine(), record.machine
    if there.host != here.host or (there.boot == here.boot and there.pid_namespace != here.pid_namespace):
        # Its pids mean nothing here; it is its own machine's (or container's) to sweep.
        return []
    same_boot = there.boot == here.boot
    if same_boot and record.owner.alive():
        return []
    ended, problems = _end(record) if same_boot else ([], [])
    results = [remove_cgroup(cgroup) for cgroup in reversed(record.cgroups)]
    results += [remove_directory(directory) for directory in (*record.directories, record.scratch)]
    problems += [sentence for sentence in results if sentence is not None]
    if not problems:
        record.remove()
    what = f"ended {', '.join(ended)}" if ended else "no process was left"
    return [f"Cleared up after a run that was killed ({record.label}, process {record.owner.pid}): {what}.", *problems]


def _end(record: RunRecord) -> tuple[list[str], list[str]]:
    """End the run's living processes; their names, and sentences about those that do not end."""
    roots = {child: process for child in record.children if (process := _living(child)) is not None}
    tree = {process for root in roots.values() for process in _descent(root)} | {*marked(f"{record.run_id}:")}
    for child, root in reversed(roots.items()):
        signal_all([root], signal.Signals(child.stop_signal))
    # A paused one cannot act upon its stop signal.
    signal_all(tree, signal.SIGCONT)
    wait_gone(roots.values(), _GRACE_SECONDS)
    # Those that did not heed it, and children whose parent did not take them along.
    signal_all(tree, signal.SIGKILL)
    left = wait_gone(tree, _KILL_SECONDS) + end_marked(f"{record.run_id}:", _KILL_SECONDS)
    return _names(roots, tree), [f"Process {process.pid} of a killed run does not end." for process in left]


def _living(child: ChildRecord) -> psutil.Process | None:
    """The very process that was recorded, if it still runs."""
    try:
        process = psutil.Process(child.identity.pid)
    except psutil.NoSuchProcess:
        return None
    # Compared after psutil has noted whom it holds, so that the pid cannot change hands in between.
    return process if child.identity.alive() else None


def _descent(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _names(roots: dict[ChildRecord, psutil.Process], tree: set[psutil.Process]) -> list[str]:
    names = [child.name for child in roots]
    others = len(tree) - len(roots)
    return [*names, f"{others} of their children"] if others > 0 else names
