"""From the repeats of all cells to ``summary.json``."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

from harness.launch.running import InstanceSize
from harness.run.cell import LOAD, CellResult, Spent
from harness.run.memory import component_of, memory_peak
from harness.stages.manifest import Stage
from harness.store.ratios import judge, measure
from harness.store.samples import params_suffix
from harness.store.summary import Applied, Audit, Cost, Hypothesis, Measurement, Ratio
from harness.store.summary import Stage as StageRecord

# A process this close to what it may use is what limited the measurement.
SATURATED = 0.95
# One thread of Python can use one core: Locust is one process, and so is the gateway.
ONE_THREAD = 1.0


def stage_record(stage: Stage, size: InstanceSize) -> StageRecord:
    """A stage as ``summary.json`` has it."""
    instances = {str(name): spec.replicas for name, spec in stage.services.items()}
    instances |= {name: spec.replicas for name, spec in stage.workers.items()}
    budgets = [(size.of(name), replicas) for name, replicas in instances.items()]
    budget = sum(cpus * replicas for cpus, replicas in budgets if cpus is not None)
    return StageRecord(
        id=stage.id,
        title=stage.title,
        improvement=stage.improvement,
        cpu_budget=round(budget, 4) or None,
        hypotheses=[
            Hypothesis(
                id=claim.id,
                scenario=claim.scenario,
                metric=claim.metric,
                against=claim.against,
                at_least=claim.at_least,
                at_most=claim.at_most,
                why=claim.why,
                params=dict(claim.params),
                against_params=None if claim.against_params is None else dict(claim.against_params),
                needs_cap=claim.needs_cap,
            )
            for claim in stage.hypotheses
        ],
        instances=instances,
        known_defects=[defect.description for defect in stage.known_defects],
    )


def cells_of(results: Iterable[CellResult]) -> list[list[CellResult]]:
    """The repeats of each cell, in the order in which they ran; cells by stage, then scenario."""

    def key(result: CellResult) -> tuple[str, str, str]:
        return result.stage, result.scenario, params_suffix(result.params)

    ordered = sorted(results, key=key)
    return [sorted(group, key=lambda result: result.repeat) for _, group in groupby(ordered, key)]


def measurements(repeats: Sequence[CellResult], size: InstanceSize, cores: int) -> list[Measurement]:
    """Every metric of one cell."""
    first = repeats[0]
    limits = sorted({name for repeat in repeats for name in saturated(repeat, size, cores)})
    limited_by = " + ".join(limits) or None
    columns: dict[str, list[float | None]] = {
        **_pace(repeats),
        "mean_ms": [repeat.load.mean_ms for repeat in repeats],
        "p50_ms": [repeat.load.p50_ms for repeat in repeats],
        "p95_ms": [repeat.load.p95_ms for repeat in repeats],
        "p99_ms": [repeat.load.p99_ms for repeat in repeats],
        "answered_well": [_share(repeat) for repeat in repeats],
        "failures": [float(repeat.load.failed) for repeat in repeats],
    }
    for metric in sorted({name for repeat in repeats for name in repeat.metrics}):
        columns[metric] = [repeat.metrics.get(metric) for repeat in repeats]
    missed = next((f"{run.fault}: {run.problem}" for repeat in repeats for run in repeat.faults if run.problem), None)
    return [
        found
        for metric, values in columns.items()
        if (found := _measurement(first, metric, values, limited_by, missed)) is not None
    ]


def _pace(repeats: Sequence[CellResult]) -> dict[str, list[float | None]]:
    """What depends on how the clients came.

    A burst has one success, and an end: neither its rate nor its cost for each success would mean anything.
    """
    shape = repeats[0].shape
    if shape == "burst":
        return {"all_answered_ms": [repeat.load.last_answer_ms for repeat in repeats], **_waited(repeats)}
    columns: dict[str, list[float | None]] = {
        "throughput": [repeat.load.succeeded / repeat.load.seconds for repeat in repeats],
        **_accepted(repeats),
        **_waited(repeats),
        "cpu_us": [_cpu_us(repeat) for repeat in repeats],
    }
    if shape == "open":
        columns["late"] = [float(repeat.load.late) for repeat in repeats]
        columns["dropped"] = [float(repeat.load.dropped) for repeat in repeats]
        columns["p99_every_ms"] = [repeat.load.p99_every_ms for repeat in repeats]
        columns["within_300ms"] = [_of(repeat.load.prompt, repeat.load.requests) for repeat in repeats]
        columns["server_errors"] = [float(repeat.load.server_errors) for repeat in repeats]
    return columns


def _accepted(repeats: Sequence[CellResult]) -> dict[str, list[float | None]]:
    if not any(repeat.tickets for repeat in repeats):
        return {}
    return {"accepted": [repeat.load.accepted / repeat.load.seconds for repeat in repeats]}


def _waited(repeats: Sequence[CellResult]) -> dict[str, list[float | None]]:
    """What is told of a queue where there was one, in any repeat, and of refusals where there were some."""
    columns: dict[str, list[float | None]] = {}
    if any(repeat.tickets for repeat in repeats):
        columns["tickets_ended"] = [
            _of(repeat.tickets.ended, repeat.tickets.handed_out) if repeat.tickets else 1.0 for repeat in repeats
        ]
        columns["drain_seconds"] = [repeat.tickets.drained.seconds if repeat.tickets else 0.0 for repeat in repeats]
    refused = [repeat.load.refused + (repeat.tickets.refused if repeat.tickets else 0) for repeat in repeats]
    if any(refused):
        columns["refused"] = [float(count) for count in refused]
    return columns


def _measurement(
    cell: CellResult, metric: str, values: Sequence[float | None], limited_by: str | None, missed: str | None
) -> Measurement | None:
    """One metric. It is invalid where a repeat has no value for it, or a fault was not what was asked for."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    missing = len(values) - len(known)
    note = missed or (f"nothing succeeded in {missing} of {len(values)} repeats" if missing else None)
    return measure(
        cell.stage, cell.scenario, cell.params, metric, known, limited_by=limited_by, valid=not missing, note=note
    )


def saturated(result: CellResult, size: InstanceSize, cores: int) -> list[str]:
    """What limited this repeat other than the services under test: Locust, the gateway, or the machine itself."""
    window = result.cpu_window_seconds
    used = {name: seconds / window for name, seconds in result.cpu_seconds.items()}
    limits = []
    if used.get(LOAD, 0.0) >= SATURATED * ONE_THREAD:
        limits.append(LOAD)
    if used.get("gateway", 0.0) >= SATURATED * (size.gateway or ONE_THREAD):
        limits.append("gateway")
    if sum(used.values()) >= SATURATED * cores:
        limits.append("machine")
    return limits


def costs(repeats: Sequence[CellResult]) -> list[Cost]:
    """CPU for each successful request, by component (replicas together), Locust included as a line of its own.

    None of a burst: the many that are refused cost as much as the one that succeeds.
    """
    by_component: dict[str, list[float]] = {}
    for repeat in repeats:
        done, cpu = _done_per_second(repeat), _spent(repeat)
        if not done or repeat.shape == "burst":
            continue
        spent: defaultdict[str, float] = defaultdict(float)
        for name, seconds in cpu.cpu_seconds.items():
            spent[component_of(name)] += seconds
        for component, seconds in spent.items():
            by_component.setdefault(component, []).append(seconds / cpu.seconds / done * 1e6)
    first, peaks = repeats[0], memory_peak(repeats).by_component
    return [
        Cost(
            stage=first.stage,
            scenario=first.scenario,
            params=first.params,
            component=name,
            cpu_us_per_request=statistics.median(values),
            peak_memory_mib=peaks.get(name),
        )
        for name, values in by_component.items()
    ]


def audits(repeats: Sequence[CellResult], stage: Stage) -> list[Audit]:
    """Each rule of one cell, over all its repeats."""
    first = repeats[0]
    rules: dict[str, list[tuple[int, str]]] = {}
    for repeat in repeats:
        for found in repeat.findings:
            rules.setdefault(found.rule, []).append((found.violations, found.detail))
    declared = {
        defect.rule for defect in stage.known_defects if defect.scenario is None or defect.scenario == first.scenario
    }
    return [
        Audit(
            stage=first.stage,
            scenario=first.scenario,
            params=first.params,
            rule=rule,
            violations=sum(count for count, _ in outcomes),
            declared=rule in declared,
            detail=next((detail for count, detail in outcomes if count), outcomes[-1][1]) or None,
        )
        for rule, outcomes in rules.items()
    ]


def ratios(stages: Sequence[StageRecord], found: Sequence[Measurement], applied: Applied, seed: int) -> list[Ratio]:
    """Every hypothesis of every stage, judged."""
    return [ratio for stage in stages for ratio in judge(stage.id, stage.hypotheses, found, applied, seed)]


def _share(result: CellResult) -> float | None:
    load = result.load
    return _of(load.requests - load.failed, load.requests)


def _of(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _done_per_second(result: CellResult) -> float | None:
    """Successes a second: of answers, or of what was finished where some of it was done behind the measured part."""
    if result.tickets and result.until_drained and result.mixed:
        # Bookings are only a part of it: answers, and the tickets that came to one.
        return (result.load.succeeded + result.tickets.succeeded) / result.until_drained.seconds
    if result.tickets:
        return result.metrics.get("finished")
    return result.load.succeeded / result.load.seconds


def _spent(result: CellResult) -> Spent:
    """The CPU that those successes took."""
    return result.until_drained or Spent(result.cpu_seconds, result.cpu_window_seconds)


def _cpu_us(result: CellResult) -> float | None:
    """Platform and servers, Locust left out."""
    done, spent = _done_per_second(result), _spent(result)
    if not done:
        return None
    # The CPU window is a few milliseconds longer than the load's: both are brought to a second.
    return sum(used for name, used in spent.cpu_seconds.items() if name != LOAD) / spent.seconds / done * 1e6
