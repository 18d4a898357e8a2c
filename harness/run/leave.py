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
from harness.run import beside, interpreter, provider, summarise
from harness.run.cache import cache_tables
from harness.run.cell import CellResult
from harness.run.machine import revision
from harness.run.memory import memory_peak, memory_table
from harness.run.options import GATEWAY_CPUS, PROVIDER_SIGMA, RunOptions
from harness.run.rates import Rate
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
    rates: Mapping[tuple[str, float], Rate],
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
            "payment: latency, median ms": options.provider_median_ms,
            "payment: latency, sigma": PROVIDER_SIGMA,
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
        timelines=[beside.timeline(result, options.provider_median_ms) for result in results],
        memory=[memory_peak(cell) for cell in cells],
        failures=[count for cell in cells for count in beside.failure_counts(cell)],
        diffs=_lessons(options.stages),
        references=provider.references(options),
        scenarios=beside.scenario_texts(options.scenarios, _told_of(options, rates)),
        tables=[
            *beside.fault_tables(results),
            *cache_tables(results),
            *beside.ticket_tables(results),
            _start_table(ready_seconds),
            memory_table(results),
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
        "throughput counts answers of 200 that came within the measured time; at a fixed arrival rate, those to "
        "requests that were due in it.",
    ]
    if caps.applied == "none":
        reason = f": {caps.reason}" if options.service_cpus is not None else ""
        sentences.append(f"No CPU cap was applied{reason}.")
    else:
        sentences.append(
            f"Each service instance may use {options.service_cpus:g} CPU, the gateway {GATEWAY_CPUS:g}; "
            "servers and load generator are not capped."
        )
    slow_python = interpreter.caveat()
    return [*sentences, slow_python] if slow_python else sentences


def _told_of(options: RunOptions, rates: Mapping[tuple[str, float], Rate]) -> dict[str, list[str]]:
    """What this run has to say of a scenario: how fast its open load came, how slow the payment provider was."""
    told: dict[str, list[str]] = {}
    for scenario in options.scenarios:
        for (paced, _), rate in rates.items():
            if paced == scenario.id and rate.reason not in told.get(scenario.id, ()):
                told.setdefault(scenario.id, []).append(rate.reason)
        if scenario.asks_provider:
            told.setdefault(scenario.id, []).append(provider.note(options))
    return told


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
