"""On which stages the tests run that take one: on as few as their question needs, unless more are asked for.

A stage is the stage before it and one improvement. Its stage.toml says what differs, and ``stages check`` that all else
is the same, byte by byte; to ask that again of every stage takes long and tells little. The contract, which holds for
all of them, is asked of the first and the last, and of the last alone where it is about code that no stage has changed
(``unchanged_code``); what one improvement brought, and what a crash costs, of the last stage that has it. Before a
change to a stage lands, its tests are run on it: ``--stages all``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.stages.manifest import Stage, pick_stage
from harness.stages.tree import list_files, read_bytes

ALL = "all"

HELP = (
    'stages for the tests that take one: "all", or some of them, such as 02,03.\n'
    "By default tests/contract runs on the first and the last (on the last alone where it is about code that no "
    "stage has changed), tests/gateway on the first, and everything else (tests/faults, tests/cache, "
    "tests/async_cancel, tests/schemas) on the last stage that has what is tested.\n"
    "Tests that import a stage's code import the first one's; FORTICKETS_STAGE=02 has everything run on 02 alone.\n"
    "Before a change to a stage lands: pytest --stages all tests/contract, and .ci/further-stages all"
)


def ends(stages: Sequence[Stage]) -> list[Stage]:
    """The first and the last."""
    return [*stages[:1], *stages[1:][-1:]]


def first(stages: Sequence[Stage]) -> list[Stage]:
    return list(stages[:1])


def last(stages: Sequence[Stage]) -> list[Stage]:
    return list(stages[-1:])


def _any(_: Stage) -> bool:
    return True


@dataclass(frozen=True)
class Coverage:
    """Where the tests of a folder run."""

    default: Callable[[Sequence[Stage]], list[Stage]]
    """Of the stages that have what is tested."""
    has: Callable[[Stage], bool] = _any
    """Whether a stage has it; one that has not is never chosen."""


FOLDERS: Mapping[str, Coverage] = {
    "contract": Coverage(ends),
    # Where bookings wait, a crash delays them and tells nobody 503: that is what tests/queue is about.
    "faults": Coverage(last, lambda stage: "dispatcher" not in stage.workers),
    # The documents are the last stage's; an earlier one may lack calls.
    "schemas": Coverage(last),
    # Some import its code, which is the first stage's unless FORTICKETS_STAGE says another.
    "gateway": Coverage(first),
    "cache": Coverage(last, lambda stage: "redis" in stage.infrastructure),
    "async_cancel": Coverage(last, lambda stage: "canceller" in stage.workers),
    "telemetry": Coverage(last),
}
"""Folder of ``tests/`` to its stages; tests of other folders take none."""


def chosen(asked: str | None, folder: str, stages: Sequence[Stage], about: Sequence[str] = ()) -> list[Stage]:
    """The stages on which the tests of ``folder`` run.

    Args:
        asked: the option's value; None: whatever is the folder's default.
        about: the files and folders of a stage that these tests are about. While all stages have them alike, byte by
            byte, the last stage alone is the default; nothing: they are about the whole stage.

    Raises:
        HarnessError: there is no such stage.
    """
    named = asked_for(asked, stages)
    coverage = FOLDERS[folder]
    having = [stage for stage in stages if coverage.has(stage)]
    if named is not None:
        return [stage for stage in having if stage in named]
    once = about and _are_alike(tuple(about), tuple(stage.folder for stage in having))
    return (last if once else coverage.default)(having)


@cache
def _are_alike(paths: tuple[str, ...], folders: tuple[Path, ...]) -> bool:
    first, *others = (_content(folder, paths) for folder in folders)
    return all(content == first for content in others)


def _content(folder: Path, paths: tuple[str, ...]) -> dict[str, bytes | None]:
    files = [file for path in paths for file in list_files(folder) if f"{file}/".startswith(f"{path}/")]
    missing = [path for path in paths if not any(f"{file}/".startswith(f"{path}/") for file in files)]
    if missing:
        raise ValueError(f"{folder.name} has no {', '.join(missing)}")
    return {file: read_bytes(folder / file) for file in files}


def asked_for(asked: str | None, stages: Sequence[Stage]) -> list[Stage] | None:
    """The stages that the option names; None where it is not given.

    Raises:
        HarnessError: there is no such stage.
    """
    if asked is None:
        return None
    return list(stages) if asked == ALL else [pick_stage(name.strip(), stages) for name in asked.split(",")]
