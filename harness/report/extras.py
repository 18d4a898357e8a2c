"""``extras.json``: what the report shows beside the summary. Not a public format; it may change with the report.

All times are seconds since the start of the measured part of a cell, unless said otherwise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from harness.errors import HarnessError
from harness.store.atomic import write_atomic
from harness.store.files import first_fault, read_json
from harness.store.summary import Number, Params, Record, Scalar

FILE_NAME = "extras.json"


class Part(BaseModel):
    """Base of all parts, as strict and as tolerant as the records of the summary."""

    model_config = Record.model_config


class TimelineEvent(Part):
    """Something that happened at a moment: a fault, a recovery, an instance that joined or left."""

    at_s: Number
    label: str


class GaugeSeries(Part):
    """Anything else over time, drawn with its scenario, e.g. ``Accepted, not refunded yet (cancellations)``."""

    title: str
    """What it is, with its unit; series of one title are drawn in one panel, and have one scale in a scenario."""
    step_s: Annotated[float, Field(gt=0)] = 1.0
    values: list[Number | None]
    """One figure a step; null where there is nothing to tell."""
    line: Number | None = None
    """A known figure, drawn as a line."""
    line_label: str = ""


class Timeline(Part):
    """One repeat of one cell over time. Series of equal step; a series that was not recorded is left empty."""

    stage: str
    scenario: str
    params: Params = {}
    repeat: Annotated[int, Field(ge=1)]
    """Counts from 1, as in the names of raw samples."""
    step_s: Annotated[float, Field(gt=0)] = 1.0
    """Width of one bucket of ``requests_per_s`` and ``failures_per_s``."""
    requests_title: str = "Successful answers per second"
    """What ``requests_per_s`` counts."""
    requests_per_s: list[Number] = []
    """Successful answers per second, one figure a bucket."""
    accepted_per_s: list[Number] = []
    """Tickets handed out per second, one figure a bucket."""
    failures_per_s: list[Number] = []
    """Failed answers per second, one figure a bucket."""
    sample_step_s: Annotated[float, Field(gt=0)] = 1.0
    """Distance of two samples of ``cpu`` and ``memory_mib``."""
    cpu: dict[str, list[Number]] = {}
    """CPUs in use (1.0 = one core) by process, named as the component or ``component#replica``."""
    memory_mib: dict[str, list[Number]] = {}
    """MiB resident by process, named as in ``cpu``."""
    gauges: list[GaugeSeries] = []
    events: list[TimelineEvent] = []


class FailureCount(Part):
    """Failed answers of one kind in one cell, all repeats together."""

    stage: str
    scenario: str
    params: Params = {}
    kind: str
    """What the client saw: ``HTTP 503, code 5000``, ``time-out``, ``connection reset``."""
    count: Annotated[int, Field(ge=0)]


class MemoryPeak(Part):
    """The most that was resident at one moment of one cell, over all its repeats, in MiB."""

    stage: str
    scenario: str
    params: Params = {}
    by_component: dict[str, Number]
    """Replicas together; the load generator is listed as well."""
    platform: Number
    """Platform and servers together, the load generator left out; not the sum of the peaks."""


class DiffFile(Part):
    """One file of a lesson."""

    path: str
    status: Literal["added", "modified", "removed"]
    additions: int
    deletions: int
    diff: str
    """Unified diff, without the ``---``/``+++`` header or with it."""


class StageDiff(Part):
    """The lesson of ``stage``: its files against those of ``against``."""

    stage: str
    against: str
    files: list[DiffFile]


class ReferenceLine(Part):
    """A known figure drawn as a thin line in a chart: a ceiling, a bound, the payment simulator's own latency."""

    scenario: str
    metric: str
    params: Params = {}
    """Drawn for the cells that have these params; empty: for all."""
    value: Number
    label: str


class ScenarioText(Part):
    """What a scenario does, in words."""

    title: str = ""
    text: str = ""
    """Shape of the load, one or two sentences: users, pace, data."""
    notes: list[str] = []
    """Sentences shown under the charts of this scenario."""


class Table(Part):
    """A table of further findings: cache hits, evictions, recovery times, lock waits."""

    title: str
    scenario: str = ""
    """Shown with that scenario; empty: with the environment."""
    columns: list[str]
    rows: list[list[Scalar | None]]
    note: str = ""


class RawLink(Part):
    """A file of the run, by its path relative to the report."""

    title: str
    href: str
    group: str = "Files"
    """Heading under which it is listed: ``Raw samples``, ``Logs``."""
    size_bytes: int | None = None

    @field_validator("href")
    @classmethod
    def _relative(cls, href: str) -> str:
        """A report is moved and sent about with its folder, and its links must go nowhere else."""
        if not href or ":" in href or href.startswith(("/", "\\")):
            raise ValueError("a link must be a path relative to the report")
        return href


class ReportExtras(Part):
    """Everything that ``render`` takes beside the summary; all of it optional."""

    timelines: list[Timeline] = []
    memory: list[MemoryPeak] = []
    failures: list[FailureCount] = []
    diffs: list[StageDiff] = []
    references: list[ReferenceLine] = []
    """Lines beside the original Java platform's figures, which the report knows by itself."""
    scenarios: dict[str, ScenarioText] = {}
    """Scenario id to its text; known scenarios have a default title."""
    tables: list[Table] = []
    ceiling: str = ""
    """How the ``noop`` ceiling was measured; its share per stage is computed from the summary."""
    links: list[RawLink] = []
    rerun: str = ""
    """The exact command line; empty: made from the run's ``arguments``."""
    rerun_notes: list[str] = []
    """What else is needed to repeat the run: URLs of an external provider, an environment variable."""


def save_extras(extras: ReportExtras, path: Path) -> None:
    """Write ``extras`` to ``path`` in one step. Raises HarnessError if that cannot be done."""
    write_atomic(path, extras.model_dump_json() + "\n")


def load_extras(path: Path) -> ReportExtras:
    """Read extras; a file that does not exist is an empty one. Raises HarnessError if it is broken."""
    if not path.exists():
        return ReportExtras()
    hint = "Delete it to render the report from the summary alone."
    try:
        return ReportExtras.model_validate_json(json.dumps(read_json(path, hint)))
    except ValidationError as error:
        raise HarnessError(f"{path} does not follow the extras format: {first_fault(error)}.", hint) from error
