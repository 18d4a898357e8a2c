"""From the repeats of all cells to ``summary.json`` and what the report shows beside it."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import groupby

from harness.faults.inject import FaultRun, recovery_seconds
from harness.launch.running import InstanceSize
from harness.load.result import OK, REFUSED
from harness.report.extras import FailureCount, ScenarioText, Table, Timeline, TimelineEvent
from harness.run.cell import LOAD, CellResult
from harness.sample.sampler import STEP_SECONDS
from harness.stages.manifest import Stage
from harness.store.ratios import judge, measure
from harness.store.samples import params_suffix
from harness.store.summary import Applied, Audit, Cost, Hypothesis, Measurement, Ratio, Scalar
from harness.store.summary import Stage as StageRecord
from scenarios.model import Scenario

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
        "throughput": [repeat.load.succeeded / repeat.load.seconds for repeat in repeats],
        "mean_ms": [repeat.load.mean_ms for repeat in repeats],
        "p50_ms": [repeat.load.p50_ms for repeat in repeats],
        "p95_ms": [repeat.load.p95_ms for repeat in repeats],
        "p99_ms": [repeat.load.p99_ms for repeat in repeats],
        "answered_well": [_share(repeat) for repeat in repeats],
        "failures": [float(repeat.load.failed) for repeat in repeats],
        "cpu_us": [_cpu_us(repeat) for repeat in repeats],
    }
    for metric in sorted({name for repeat in repeats for name in repeat.metrics}):
        columns[metric] = [repeat.metrics.get(metric) for repeat in repeats]
    missed = next((f"{run.fault}: {run.problem}" for repeat in repeats for run in repeat.faults if run.problem), None)
    return [
        found
        for metric, values in columns.items()
        if (found := _measurement(first, metric, values, limited_by, missed)) is not None
    ]


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
    """CPU for each successful request, by component (replicas together), Locust included as a line of its own."""
    by_component: dict[str, list[float]] = {}
    for repeat in repeats:
        if repeat.load.succeeded == 0:
            continue
        spent: defaultdict[str, float] = defaultdict(float)
        for name, seconds in repeat.cpu_seconds.items():
            spent[name.partition("#")[0]] += seconds
        for component, seconds in spent.items():
            by_component.setdefault(component, []).append(_per_request_us(repeat, seconds))
    first = repeats[0]
    return [
        Cost(
            stage=first.stage,
            scenario=first.scenario,
            params=first.params,
            component=name,
            cpu_us_per_request=statistics.median(values),
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


def timeline(result: CellResult) -> Timeline:
    """One repeat over time."""
    return Timeline(
        stage=result.stage,
        scenario=result.scenario,
        params=result.params,
        repeat=result.repeat,
        requests_per_s=[float(count) for count in result.load.per_second_ok],
        failures_per_s=[float(count) for count in result.load.per_second_failed],
        sample_step_s=STEP_SECONDS,
        cpu={name: list(series) for name, series in result.cpus.items()},
        events=[event for run in result.faults for event in _events(run)],
    )


def _events(run: FaultRun) -> list[TimelineEvent]:
    began = [] if run.began is None else [TimelineEvent(at_s=run.began, label=str(run.fault))]
    ended = [] if run.ended is None else [TimelineEvent(at_s=run.ended, label=f"{run.fault.target} runs again")]
    return began + ended


def fault_table(results: Sequence[CellResult]) -> Table | None:
    """What each fault did: how long until the platform served as before, what clients saw, what the audit found."""
    rows: list[list[Scalar | None]] = []
    for result in results:
        for run in result.faults:
            recovery = recovery_seconds(result.load.per_second_ok, run)
            broken = sum(found.violations for found in result.findings)
            rows.append(
                [
                    result.stage,
                    result.scenario,
                    result.repeat,
                    str(run.fault),
                    None if recovery is None else round(recovery, 1),
                    result.load.failed,
                    broken,
                    run.problem or None,
                ]
            )
    if not rows:
        return None
    return Table(
        title="Faults",
        columns=[
            "Stage",
            "Scenario",
            "Repeat",
            "Fault",
            "Recovery (s)",
            "Failed requests",
            "Violations",
            "Problem",
        ],
        rows=rows,
        note="Recovered: two whole seconds in a row with 80% of the successful answers of those before the fault.",
    )


def failure_counts(repeats: Sequence[CellResult]) -> list[FailureCount]:
    """Failed answers of one cell by kind, all repeats together."""
    kinds: Counter[str] = Counter()
    for repeat in repeats:
        kinds.update({kind: count for kind, count in repeat.load.outcomes.items() if kind not in (OK, REFUSED)})
    first = repeats[0]
    return [
        FailureCount(stage=first.stage, scenario=first.scenario, params=first.params, kind=kind, count=count)
        for kind, count in kinds.most_common()
    ]


def scenario_texts(scenarios: Iterable[Scenario]) -> dict[str, ScenarioText]:
    return {scenario.id: ScenarioText(title=scenario.title, text=scenario.text) for scenario in scenarios}


def _share(result: CellResult) -> float | None:
    well = result.load.succeeded + result.load.refused
    asked = well + result.load.failed
    return well / asked if asked else None


def _cpu_us(result: CellResult) -> float | None:
    """Platform and servers, Locust left out."""
    if result.load.succeeded == 0:
        return None
    return _per_request_us(result, sum(used for name, used in result.cpu_seconds.items() if name != LOAD))


def _per_request_us(result: CellResult, cpu_seconds: float) -> float:
    # The CPU window is a few milliseconds longer than the load's: both are brought to a second.
    throughput = result.load.succeeded / result.load.seconds
    return cpu_seconds / result.cpu_window_seconds / throughput * 1e6
