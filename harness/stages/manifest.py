"""What a stage says about itself: the typed form of ``stages/NN_name/stage.toml``.

Everything that needs to know a stage (launcher, report, ``stages check``) asks here:

>>> for stage in discover_stages():  # doctest: +SKIP
...     print(stage.number, stage.title, {name: spec.replicas for name, spec in stage.services.items()})

Anything that is wrong in the file raises :class:`ManifestError`: one sentence for each problem, with file and key.
Rules that need a second stage or the folder's files (does ``previous`` exist, is ``changes`` true) are ``check``'s.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import HarnessError
from harness.stages.problems import describe

REPOSITORY = Path(__file__).resolve().parents[2]
STAGES_ROOT = REPOSITORY / "stages"
MANIFEST = "stage.toml"

ChangeKind = Literal["added", "modified", "removed"]
PackageName = Literal["gateway", "user", "concert", "order"]
Infrastructure = Literal["postgres", "redis", "kafka"]
# design.md, "What a run leaves": the ids that summary.json uses.
ScenarioId = Literal[
    "concert_list", "seat_lookup", "booking", "cancel", "one_seat", "on_sale", "mixed_day", "scale", "noop"
]
MetricId = Literal[
    "throughput",
    "finished",
    "mean_ms",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "answered_well",
    "failures",
    "accepted",
    "refund_done_ms",
    "cpu_us",
]
PACKAGES: tuple[PackageName, ...] = ("gateway", "user", "concert", "order")
REGISTERING: tuple[PackageName, ...] = ("concert", "order")
"""The services whose instances enter themselves where there is a registry."""

_STAGE_ID = re.compile(r"\d{2}_[a-z][a-z0-9_]*")


class ManifestError(HarnessError):
    """One ``stage.toml`` that cannot be used; ``problems`` has a sentence for each thing that is wrong with it."""

    def __init__(self, path: Path, problems: Sequence[str]) -> None:
        self.path = path
        self.problems = tuple(problems)
        others = "".join(f" Also: {problem}." for problem in self.problems[1:])
        super().__init__(f"{_shown(path)}: {self.problems[0]}", f"Correct the file and try again.{others}")


def _shown(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix() if path.is_relative_to(REPOSITORY) else str(path)


def _one_line(text: str) -> str:
    if not text.strip() or "\n" in text:
        raise ValueError("must be one line of text")
    return text


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\\" in path or pure.as_posix() != path or path == ".":
        raise ValueError('must be a path relative to the stage folder, such as "concert/cache.py"')
    return path


Line = Annotated[str, AfterValidator(_one_line)]
StagePath = Annotated[str, AfterValidator(_inside)]
Slug = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*([_-][a-z0-9]+)*$")]
Replicas = Annotated[int, Field(ge=1, le=32)]
# TOML arrays arrive as lists; strict mode would refuse them for a tuple or a set, and only there is it too strict.
Paths = Annotated[tuple[StagePath, ...], Field(strict=False)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", validate_by_alias=True, validate_by_name=False)


class Hypothesis(_Part):
    """A falsifiable claim: ``metric`` of ``scenario`` in this stage, divided by that in ``against``, passes a bound."""

    id: Slug
    scenario: ScenarioId
    metric: MetricId
    against: Line
    at_least: float | None = Field(default=None, gt=0)
    """The ratio stage / against that would confirm it, where more is better."""
    at_most: float | None = Field(default=None, gt=0)
    """The same where less is better, as with times."""
    why: str = Field(min_length=1)
    params: Mapping[str, str | int | float | bool] = Field(default_factory=dict)
    """Only the cells with these params are judged; empty: all cells."""
    against_params: Mapping[str, str | int | float | bool] | None = None
    """The params of the cell compared with, where they differ, as with another number of replicas."""
    needs_cap: bool = False
    """True where the claim holds at equal instance size only (replicas, queue)."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("must have exactly one of at_least and at_most")
        return self


class ServiceSpec(_Part):
    """A service with an HTTP route; its package has the service's name."""

    replicas: Replicas = 1


class WorkerSpec(_Part):
    """A process without an HTTP route: ``create_app`` of the module serves its health, and does its work beside it."""

    module: str = Field(pattern=r"^(gateway|user|concert|order)(\.[a-z_][a-z0-9_]*)+$")
    replicas: Replicas = 1

    @property
    def package(self) -> str:
        """The service whose code, settings and database the worker uses."""
        return self.module.partition(".")[0]


class Changes(_Part):
    """Paths, relative to the stage folder, that differ from the previous stage."""

    added: Paths = ()
    modified: Paths = ()
    removed: Paths = ()

    @property
    def named(self) -> Mapping[str, ChangeKind]:
        """What each named path is declared to be."""
        lists: tuple[tuple[ChangeKind, tuple[str, ...]], ...] = (
            ("added", self.added),
            ("modified", self.modified),
            ("removed", self.removed),
        )
        return {path: kind for kind, paths in lists for path in paths}

    @model_validator(mode="after")
    def _once(self) -> Self:
        paths = [*self.added, *self.modified, *self.removed]
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f'must name each path once; "{path}" is there {paths.count(path)} times')
        return self


class KnownDefect(_Part):
    """Something this stage does wrong on purpose, which a later one mends; its audit is shown, and is not red."""

    rule: Slug
    scenario: ScenarioId | None = None
    """Where the defect shows; everywhere if None."""
    description: str = Field(min_length=1)


class Stage(_Part):
    """One stage: the content of its ``stage.toml`` and the folder it lies in."""

    id: Line
    previous: str
    """The id of the stage this one improves on; "" for the first."""
    title: Line
    improvement: Line
    infrastructure: Annotated[frozenset[Infrastructure], Field(strict=False)]
    services: Mapping[PackageName, ServiceSpec]
    workers: Mapping[Slug, WorkerSpec] = Field(default_factory=dict)
    discovery: Literal["static", "redis"] = "static"
    """How its processes find each other: at the addresses they are told, or in a registry, by which a service may have
    several instances."""
    hypotheses: Annotated[tuple[Hypothesis, ...], Field(alias="hypothesis", strict=False)] = ()
    changes: Changes = Field(default_factory=Changes)
    known_defects: Annotated[tuple[KnownDefect, ...], Field(alias="known_defect", strict=False)] = ()
    folder: Path

    @property
    def number(self) -> int:
        """Its place among the stages, from 1."""
        return int(self.id[:2])

    def with_replicas(self, replicas: Mapping[str, int]) -> Stage:
        """The stage with so many instances of each of those services; itself where it can find no more than one."""
        if self.discovery == "static" or not replicas:
            return self
        wanted = {name: spec.replicas for name, spec in self.services.items()} | dict(replicas)
        return self.model_copy(update={"services": {name: ServiceSpec(replicas=n) for name, n in wanted.items()}})

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.id != self.folder.name:
            raise ValueError(f'id must equal the folder\'s name, "{self.folder.name}"; found "{self.id}"')
        if not _STAGE_ID.fullmatch(self.id):
            raise ValueError(f'id must be two digits and a name, such as "02_cache"; found "{self.id}"')
        if self.previous and "changes" not in self.model_fields_set:
            raise ValueError(f'[changes] is missing: it names what differs from "{self.previous}"')
        if not self.previous and self.changes.named:
            raise ValueError('[changes] must be absent where previous is ""')
        if self.discovery != "static" and self.discovery not in self.infrastructure:
            raise ValueError(f'discovery "{self.discovery}" needs {self.discovery} among the infrastructure')
        ids = [hypothesis.id for hypothesis in self.hypotheses]
        for twice in sorted({name for name in ids if ids.count(name) > 1}):
            raise ValueError(f'hypothesis ids must be unique in the stage; "{twice}" is there {ids.count(twice)} times')
        return self


def load_stage(path: Path) -> Stage:
    """Read one stage, given its folder or its ``stage.toml``.

    Raises:
        ManifestError: the file is missing, is not TOML, or says something that is not expected.
    """
    file = path if path.name == MANIFEST else path / MANIFEST
    try:
        content: dict[str, Any] = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ManifestError(file, ["the file is missing"]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ManifestError(file, [f"not valid TOML: {error}"]) from None
    if "folder" in content:
        raise ManifestError(file, ['unknown key "folder"'])
    try:
        return Stage.model_validate({**content, "folder": file.parent.resolve()})
    except ValidationError as error:
        raise ManifestError(file, describe(error, Stage)) from None


def stage_folders(root: Path = STAGES_ROOT) -> list[Path]:
    """Folders below ``root`` that are stages (``NN_name``, or anything with a ``stage.toml``), in order of name."""
    if not root.is_dir():
        raise HarnessError(f"There is no folder {root}.", "Run this from a checkout of the repository.")
    return sorted(
        folder
        for folder in root.iterdir()
        if folder.is_dir() and (_STAGE_ID.fullmatch(folder.name) or (folder / MANIFEST).exists())
    )


def discover_stages(root: Path = STAGES_ROOT) -> list[Stage]:
    """Every stage below ``root``, in order of folder name.

    Raises:
        HarnessError: there is no stage, or one cannot be read.
    """
    stages = [load_stage(folder) for folder in stage_folders(root)]
    if not stages:
        raise HarnessError(
            f"There is no stage in {root}.", "A stage is a folder such as 01_baseline with a stage.toml."
        )
    return stages


def find_stage(name: str, root: Path = STAGES_ROOT) -> Stage:
    """The stage that a person means by "1", "01", "01_base" or "01_baseline".

    Raises:
        HarnessError: none fits, or several do; the hint offers the nearest name.
    """
    return pick_stage(name, discover_stages(root))


def pick_stage(name: str, stages: Sequence[Stage]) -> Stage:
    """:func:`find_stage` among stages that were already read."""
    exact = [stage for stage in stages if stage.id == name]
    by_number = [stage for stage in stages if name.isdecimal() and stage.number == int(name)]
    by_prefix = [stage for stage in stages if name and stage.id.startswith(name)]
    fitting = exact or by_number or by_prefix
    if len(fitting) == 1:
        return fitting[0]
    known = ", ".join(stage.id for stage in stages)
    if fitting:
        raise HarnessError(
            f'"{name}" fits several stages: {", ".join(stage.id for stage in fitting)}.', "Give more of the name."
        )
    # "cahce" is nearer to "cache" than to "02_cache", so both spellings are compared.
    spellings = {spelling: stage.id for stage in stages for spelling in (stage.id, stage.id[3:])}
    near = get_close_matches(name, spellings, n=1, cutoff=0.5)
    offer = f'Did you mean "{spellings[near[0]]}"? ' if near else ""
    raise HarnessError(f'There is no stage "{name}".', f"{offer}Stages: {known}.")
