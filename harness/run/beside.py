"""What the report shows beside the summary: cells over time, faults, failures by kind, texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from harness.faults.inject import RECOVERED_SHARE, FaultRun, recovery_seconds
from harness.faults.model import Action
from harness.load.result import WELL
from harness.report.extras import FailureCount, GaugeSeries, ScenarioText, Table, Timeline, TimelineEvent
from harness.report.format import params_label
from harness.run import tickets
from harness.run.cell import CellResult
from harness.sample.sampler import STEP_SECONDS
from harness.store.summary import Scalar
from scenarios.model import Scenario

_ENDINGS = {Action.STOP: "has stopped", Action.ADD: "has one more"}


def timeline(result: CellResult, provider_median_ms: float = 0.0) -> Timeline:
    """One repeat over time. Of a burst, refusals are what was to be expected, and are told with the successes.

    ``provider_median_ms`` is drawn into what contains the payment provider's latency; 0: it made none.
    """
    load, burst = result.load, result.shape == "burst"
    answers = [ok + refused * burst for ok, refused in zip(load.per_second_ok, load.per_second_refused, strict=True)]
    provider = f"payment provider alone, median {provider_median_ms:,g} ms" if provider_median_ms else ""
    return Timeline(
        stage=result.stage,
        scenario=result.scenario,
        params=result.params,
        repeat=result.repeat,
        requests_title="Answered well per second" if burst else "Successful answers per second",
        requests_per_s=[float(count) for count in answers],
        accepted_per_s=[float(count) for count in load.per_second_accepted if any(load.per_second_accepted)],
        failures_per_s=[float(count) for count in load.per_second_failed],
        sample_step_s=STEP_SECONDS,
        cpu={name: list(series) for name, series in result.cpus.items()},
        # Without the start, so that both series have one figure a step.
        memory_mib={name: [round(mib, 1) for mib in series[1:]] for name, series in result.memory_mib.items()},
        gauges=[
            GaugeSeries(
                title=course.title,
                step_s=course.step_seconds,
                values=list(course.values),
                line=provider_median_ms if course.with_provider and provider else None,
                line_label=provider if course.with_provider else "",
            )
            for course in result.courses
        ],
        events=[event for run in result.faults for event in _events(run)],
    )


def _events(run: FaultRun) -> list[TimelineEvent]:
    began = [] if run.began is None else [TimelineEvent(at_s=run.began, label=str(run.fault))]
    ending = f"{run.fault.target} {_ENDINGS.get(run.fault.action, 'runs again')}"
    ended = [] if run.ended is None else [TimelineEvent(at_s=run.ended, label=ending)]
    return began + ended


def recovery_in_brief(result: CellResult, run: FaultRun) -> str:
    """What one fault did, as a part of a sentence."""
    recovery = recovery_seconds(result.load.per_second_ok, run)
    return f", {run.fault}: {'not recovered in time' if recovery is None else f'recovered in {recovery:.1f} s'}"


def fault_tables(results: Sequence[CellResult]) -> list[Table]:
    """What each fault did, a table a scenario: how long it took to serve as before, what clients saw, and the audit."""
    rows: dict[str, list[list[Scalar | None]]] = {}
    for result in results:
        broken = sum(found.violations for found in result.findings)
        for run in result.faults:
            recovery = recovery_seconds(result.load.per_second_ok, run)
            problem = run.problem or (None if recovery is not None else "not recovered within the measured time")
            seconds = None if recovery is None else round(recovery, 1)
            rows.setdefault(result.scenario, []).append(
                [result.stage, result.repeat, str(run.fault), seconds, result.load.failed, broken, problem]
            )
    columns = ["Stage", "Repeat", "Fault", "Recovery (s)", "Failed requests", "Violations", "Problem"]
    note = (
        f"Recovered: two whole seconds in a row with {RECOVERED_SHARE:.0%} of the successful answers of those before "
        "the fault; right to about a second."
    )
    return [
        Table(title="Faults", scenario=scenario, columns=columns, rows=found, note=note)
        for scenario, found in rows.items()
    ]


def failure_counts(repeats: Sequence[CellResult]) -> list[FailureCount]:
    """Failed answers of one cell by kind, all repeats together."""
    kinds: Counter[str] = Counter()
    for repeat in repeats:
        kinds.update({kind: count for kind, count in repeat.load.outcomes.items() if kind not in WELL})
    first = repeats[0]
    return [
        FailureCount(stage=first.stage, scenario=first.scenario, params=first.params, kind=kind, count=count)
        for kind, count in kinds.most_common()
    ]


def ticket_tables(results: Sequence[CellResult]) -> list[Table]:
    """How the tickets of each cell ended, where any were handed out."""
    return tickets.ticket_tables(
        [
            (result.scenario, result.stage, params_label(result.params), result.repeat, result.tickets)
            for result in results
            if result.tickets
        ]
    )


def scenario_texts(
    scenarios: Iterable[Scenario], more: Mapping[str, Sequence[str]] | None = None
) -> dict[str, ScenarioText]:
    """Titles and texts by scenario id; ``more`` are the sentences that this run has to add."""
    return {
        scenario.id: ScenarioText(
            title=scenario.title, text=" ".join([scenario.text, *(more or {}).get(scenario.id, ())])
        )
        for scenario in scenarios
    }
