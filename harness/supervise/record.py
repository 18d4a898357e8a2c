"""The run record: what a run has started, on disk, so that the next run can end it if this one is killed."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import platformdirs

from harness.errors import HarnessError
from harness.supervise.identity import Machine, ProcessIdentity

STATE_VARIABLE = "FORTICKETS_STATE_DIR"
"""Overrides the per-user folder that holds the run records."""


@dataclass(frozen=True)
class ChildRecord:
    """One started process, and the signal that ends it, when its data is thrown away."""

    name: str
    identity: ProcessIdentity
    stop_signal: int


@dataclass
class RunRecord:
    """Everything that one run owns. Whoever reads it may end that, and nothing else."""

    run_id: str
    label: str
    machine: Machine
    owner: ProcessIdentity
    scratch: Path
    children: list[ChildRecord] = field(default_factory=list)
    directories: list[Path] = field(default_factory=list)
    cgroups: list[Path] = field(default_factory=list)

    def path(self) -> Path:
        return runs_folder() / f"{self.run_id}.json"

    def save(self) -> None:
        """Write the record so that a reader sees the old one or the new one, never half of one."""
        path = self.path()
        temporary = path.with_suffix(f".tmp{os.getpid()}")
        temporary.write_text(json.dumps(asdict(self), default=str, indent=1), encoding="utf-8")
        temporary.replace(path)

    def remove(self) -> None:
        self.path().unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Read a record.

        Raises:
            FileNotFoundError: its run has ended meanwhile.
            ValueError: it is not a record (KeyError and TypeError of a foreign shape included).
        """
        raw = json.loads(path.read_text(encoding="utf-8"))
        try:
            return cls(
                run_id=str(raw["run_id"]),
                label=str(raw["label"]),
                machine=Machine(**raw["machine"]),
                owner=ProcessIdentity(**raw["owner"]),
                scratch=Path(raw["scratch"]),
                children=[
                    ChildRecord(child["name"], ProcessIdentity(**child["identity"]), int(child["stop_signal"]))
                    for child in raw["children"]
                ],
                directories=[Path(item) for item in raw["directories"]],
                cgroups=[Path(item) for item in raw["cgroups"]],
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a run record: {error!r}") from error


def runs_folder() -> Path:
    """The per-user folder of run records, made if need be."""
    override = os.environ.get(STATE_VARIABLE)
    base = Path(override) if override else platformdirs.user_state_path("fortickets")
    folder = base / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(
            f"The folder for run records, {folder}, cannot be made: {error.strerror}.",
            f"Set {STATE_VARIABLE} to a folder that you may write to.",
        ) from error
    return folder


@contextmanager
def exclusive(lock_file: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold an advisory lock between processes; the kernel gives it back when its holder dies (flock(2)).

    ``on_wait`` is called if somebody else holds it at first.
    """
    with lock_file.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
