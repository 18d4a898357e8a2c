"""What a run leaves in its folder: ``summary.json``, ``report.html``, and everything to run it again."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.launch.instance_size import CpuCaps
from harness.launch.running import UNCAPPED
from harness.report.extras import FILE_NAME as EXTRAS_FILE
from harness.report.extras import DiffFile, RawLink, ReportExtras, StageDiff, Table, save_extras
from harness.report.render import render
from harness.run import summarise
from harness.run.cell import CellResult
from harness.run.machine import revision
from harness.run.options import GATEWAY_CPUS, RunOptions
from harness.stages.diff import stage_diff
from harness.stages.manifest import Stage
from harness.store.doubts import caveats
from harness.store.files import save_summary
from harness.store.summary import FILE_NAME as SUMMARY_FILE
from harness.store.summary import InstanceSize, Machine, Run, Summary

REPORT_FILE = "report.html"

CEILING = (
    "The ceiling (noop) is a constant answer, as long as a page of the concert list, from a service of the same make "
    "and size behind the same gateway."
)


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    summary: Summary
    folder: Path

    @property
    def report(self) -> Path:
        return self.folder / REPORT_FILE


def leave_behind(
    options: RunOptions,
    folder: Path,
    *,
    started: datetime,
    seconds: float,
    machine: Machine,
    caps: CpuCaps,
    settings: Mapping[str, str],
    results: Sequence[CellResult],
    ready_seconds: Mapping[str, Sequence[float]],
    incomplete: str = "",
) -> Outcome:
    """Writes the files of a finished run and points ``latest`` at it."""
    cells = summarise.cells_of(results)
    # What was asked for counts only where the machine enforced it.
    size = UNCAPPED if caps.applied == "none" else options.instance_size
    stages = [summarise.stage_record(stage, size) for stage in options.stages]
    by_id = {stage.id: stage for stage in options.stages}
    found = [m for cell in cells for m in summarise.measurements(cell, size, machine.cores)]
    run = Run(
        id=folder.name,
        started=started,
        seconds=round(seconds, 1),
        profile=options.profile,
        machine=machine,
        provider=options.provider,
        instance_size=InstanceSize(
            requested="none" if options.service_cpus is None else f"{options.service_cpus:g}",
            applied=caps.applied,
            components={name: size.of(name) for stage in stages for name in stage.instances},
        ),
        arguments=list(options.arguments),
        seed=options.seed,
        settings={
            **settings,
            "dataset": options.dataset,
            "seconds measured": options.seconds,
            "seconds of warm-up": options.warm_up_seconds,
            "repeats": options.repeats,
            "exact request counts": options.exact,
        },
        caveats=_caveats(options, caps, incomplete),
        revision=revision(),
    )
    summary = Summary(
        run=run,
        stages=stages,
        measurements=found,
        ratios=summarise.ratios(stages, found, caps.applied, options.seed),
        costs=[cost for cell in cells for cost in summarise.costs(cell)],
        audits=[audit for cell in cells for audit in summarise.audits(cell, by_id[cell[0].stage])],
    )
    summary = summary.model_copy(update={"run": run.model_copy(update={"caveats": [*run.caveats, *caveats(found)]})})
    extras = ReportExtras(
        timelines=[summarise.timeline(result) for result in results],
        failures=[count for cell in cells for count in summarise.failure_counts(cell)],
        diffs=_lessons(options.stages),
        scenarios=summarise.scenario_texts(options.scenarios),
        tables=[
            *([faults] if (faults := summarise.fault_table(results)) is not None else []),
            _start_table(ready_seconds),
            _memory_table(cells),
        ],
        ceiling=CEILING if any(scenario.needs_noop for scenario in options.scenarios) else "",
        links=_links(folder),
        rerun=shlex.join(["uv", "run", "run_all.py", *options.arguments]),
    )
    save_summary(summary, folder / SUMMARY_FILE)
    save_extras(extras, folder / EXTRAS_FILE)
    render(summary, extras, folder / REPORT_FILE)
    _point_latest(folder)
    return Outcome(summary, folder)


def _caveats(options: RunOptions, caps: CpuCaps, incomplete: str) -> list[str]:
    sentences = [f"The run was broken off before its last cell ({incomplete})."] if incomplete else []
    sentences += [
        "Platform, servers and load generator share one machine; compare stages within this run, not with other runs.",
        "throughput counts answers of 200 that came within the measured time.",
    ]
    if caps.applied == "none":
        reason = f": {caps.reason}" if options.service_cpus is not None else ""
        sentences.append(f"No CPU cap was applied{reason}.")
    else:
        sentences.append(
            f"Each service instance may use {options.service_cpus:g} CPU, the gateway {GATEWAY_CPUS:g}; "
            "servers and load generator are not capped."
        )
    return sentences


def _lessons(stages: Sequence[Stage]) -> list[StageDiff]:
    """What each stage changed, where the stage that it follows is in the run as well."""
    by_id = {stage.id: stage for stage in stages}
    lessons = []
    for stage in stages:
        previous = by_id.get(stage.previous)
        if previous is not None:
            diff = stage_diff(previous, stage)
            files = [
                DiffFile(
                    path=file.path,
                    status=file.status,
                    additions=file.additions,
                    deletions=file.deletions,
                    diff=file.text,
                )
                for file in diff.files
            ]
            lessons.append(StageDiff(stage=stage.id, against=previous.id, files=files))
    return lessons


def _start_table(ready_seconds: Mapping[str, Sequence[float]]) -> Table:
    rows: list[list[str | int | float | bool | None]] = [
        [stage, round(seconds, 2)] for stage, starts in sorted(ready_seconds.items()) for seconds in starts
    ]
    return Table(
        title="Start of a stage",
        columns=["Stage", "Seconds until every process was ready"],
        rows=rows,
        note="With migrations, on servers that were running already.",
    )


def _memory_table(cells: Sequence[Sequence[CellResult]]) -> Table:
    """The most that each process held at the end of a cell, in MiB."""
    most: dict[tuple[str, str], int] = {}
    for cell in cells:
        for result in cell:
            for process, held in result.memory_bytes.items():
                key = (result.stage, process)
                most[key] = max(most.get(key, 0), held)
    rows: list[list[str | int | float | bool | None]] = []
    for stage in sorted({stage for stage, _ in most}):
        held_by = {process: held for (owner, process), held in sorted(most.items()) if owner == stage}
        rows += [[stage, process, round(held / 2**20)] for process, held in held_by.items()]
        rows.append([stage, "all together", round(sum(held_by.values()) / 2**20)])
    return Table(
        title="Memory",
        columns=["Stage", "Process", "MiB"],
        rows=rows,
        note="Proportional set size, the largest seen at the end of a cell.",
    )


def _links(folder: Path) -> list[RawLink]:
    groups = {".gz": "Raw samples", ".log": "Logs"}
    return [
        RawLink(
            title=file.relative_to(folder).as_posix(),
            href=file.relative_to(folder).as_posix(),
            group=groups.get(file.suffix, "Files"),
            size_bytes=file.stat().st_size,
        )
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    ]


def _point_latest(folder: Path) -> None:
    """``latest`` is swapped in one step: who reads it meanwhile finds the one run or the other."""
    temporary = folder.parent / f".latest-{os.getpid()}"
    temporary.symlink_to(folder.name, target_is_directory=True)
    temporary.replace(folder.parent / "latest")
