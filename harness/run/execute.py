"""Carries out a run from the first server to the report."""

from __future__ import annotations

import random
import secrets as random_names
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path

from harness.errors import HarnessError, first_line
from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.launch.instance_size import CpuCaps, open_caps
from harness.provision import Component, Infrastructure, provision
from harness.provision.databases import create_database, drop_database
from harness.run import beside, interpreter
from harness.run.cell import CellResult, run_cell
from harness.run.folder import new_folder
from harness.run.leave import Outcome, leave_behind
from harness.run.machine import describe_machine
from harness.run.options import Cell, RunOptions
from harness.run.progress import Narrator
from harness.run.rates import Rate, given_rate, rate_from_capacity
from harness.run.replicas import by_start, cells_for
from harness.stages.manifest import Stage
from harness.store.samples import params_suffix
from harness.supervise import Supervisor, sweep_leftovers
from scenarios.dataset import DATASETS, Dataset
from scenarios.model import Scenario, Variant


@dataclass
class _Run:
    """What the cells of one run share."""

    options: RunOptions
    folder: Path
    supervisor: Supervisor
    infrastructure: Infrastructure
    caps: CpuCaps
    dataset: Dataset
    narrator: Narrator
    databases: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Stage id to the URLs of its three databases."""
    results: list[CellResult] = field(default_factory=list)
    ready_seconds: dict[str, list[float]] = field(default_factory=dict)
    rates: dict[tuple[str, float], Rate] = field(default_factory=dict)
    """Scenario id and share of capacity to the arrival rate of its open load."""


def execute(options: RunOptions, narrator: Narrator) -> Outcome:
    """Provision, measure every cell in seeded turns, audit, and leave the report.

    Raises:
        HarnessError: something that a person can act on; whatever was started has been stopped.
    """
    started, clock = datetime.now(UTC), time.monotonic()
    slow_python = interpreter.caveat()
    if slow_python:
        narrator.say(f"Note: {slow_python}")
    folder = new_folder(options.reports, options.profile, started)
    for sentence in sweep_leftovers():
        narrator.say(sentence)
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor(options.profile))
        infrastructure = stack.enter_context(
            provision(options.provider, supervisor, log_folder=folder / "logs", report=narrator.say)
        )
        infrastructure.ensure(*_components(options.stages))
        caps = open_caps(options.service_cpus is not None, supervisor.own_cgroup)
        stack.callback(caps.release)
        dataset = replace(DATASETS[options.dataset], seed=options.seed, today=first_of_month(started.date()))
        run = _Run(options, folder, supervisor, infrastructure, caps, dataset, narrator)
        stack.callback(_drop_databases, run)
        stopped = _measure(run)
        machine = describe_machine(infrastructure)
        servers = infrastructure.servers
        settings = {
            f"{server.component.value}: {name}": value for server in servers for name, value in server.settings.items()
        }
    if not run.results:
        # The logs stay if something failed, since the error names them.
        if isinstance(stopped, KeyboardInterrupt):
            shutil.rmtree(folder)
        assert stopped is not None, "a run without cells is refused before it starts"
        raise stopped
    narrator.say("Drawing the report")
    outcome = leave_behind(
        options,
        folder,
        started=started,
        seconds=time.monotonic() - clock,
        machine=machine,
        caps=caps,
        settings=settings,
        results=run.results,
        ready_seconds=run.ready_seconds,
        rates=run.rates,
        incomplete="" if stopped is None else f"{type(stopped).__name__}: {first_line(stopped)}",
    )
    if stopped is not None:
        narrator.say(f"What was measured until then: {outcome.report}")
        raise stopped
    return outcome


def first_of_month(day: date) -> date:
    """Seeded shows hang on a day that stays the same for a month, so that two runs of a day start from one data set."""
    return day.replace(day=1)


def _measure(run: _Run) -> HarnessError | KeyboardInterrupt | None:
    """Measures every cell; what broke it off before the last one, if anything did."""
    try:
        _measure_all(run)
    except (HarnessError, KeyboardInterrupt) as stopped:
        return stopped
    return None


def _measure_all(run: _Run) -> None:
    options = run.options
    cells = options.repeats * sum(len(cells_for(stage, options.cells)) for stage in options.stages)
    if not cells:
        raise HarnessError(
            "Nothing of this can be measured: none of its stages runs several instances of a service.",
            "Name a stage that does, such as 04_scaleout.",
        )
    turns = random.Random(options.seed)
    with run.narrator.cells(cells):
        for phase in options.phases:
            paced = [(scenario, _at_rate(run, scenario, variant)) for scenario, variant in phase]
            for repeat in range(1, options.repeats + 1):
                # Stages take turns in a new order each repeat, so that a drift of the machine favours none of them.
                for stage in turns.sample(options.stages, k=len(options.stages)):
                    for started, measured in by_start(stage, paced):
                        _measure_stage(run, started, repeat, measured)


def _at_rate(run: _Run, scenario: Scenario, variant: Variant) -> Variant:
    """The variant with its arrival rate, which is the same for all stages; one that has no need of it as it is."""
    if not variant.needs_rate:
        return variant
    share = variant.load.share_of_capacity
    assert share is not None, f"the open load of {scenario.id} says nothing of its rate"
    wanted = (scenario.id, share)
    if wanted not in run.rates:
        if run.options.rate is not None:
            rate = given_rate(run.options.rate)
        else:
            rate = rate_from_capacity(variant.load.capacity_of or scenario.id, share, run.results)
        run.rates[wanted] = rate
        run.narrator.say(f"  {scenario.id}: {rate.reason}")
    return variant.at_rate(run.rates[wanted].value)


def _measure_stage(run: _Run, stage: Stage, repeat: int, cells: Sequence[Cell]) -> None:
    options, narrator = run.options, run.narrator
    narrator.begin(stage.id)
    with launch(
        stage,
        run.infrastructure,
        run.supervisor,
        database_urls=_databases_of(run, stage),
        secrets=Secrets(),
        log_folder=run.folder / "logs" / stage.id,
        seed=options.seed,
        with_noop=any(scenario.needs_noop for scenario, _ in cells),
        overrides={"PAYMENT_LATENCY_MEDIAN_MS": f"{options.provider_median_ms:g}"},
    ) as running:
        run.ready_seconds.setdefault(stage.id, []).append(running.ready_seconds)
        running.cap(run.caps, options.instance_size)
        for scenario, variant in cells:
            name = f"{stage.id} {scenario.id}{params_suffix(dict(variant.params))}"
            narrator.begin(name if options.repeats == 1 else f"{name} ({repeat}/{options.repeats})")
            result = run_cell(
                running,
                scenario,
                variant,
                repeat,
                dataset=run.dataset,
                options=options,
                caps=run.caps,
                folder=run.folder,
                say=narrator.step,
            )
            run.results.append(result)
            narrator.done(_in_brief(result))


def _in_brief(result: CellResult) -> str:
    load = result.load
    broken = [found for found in result.findings if found.violations]
    latency = "no answer was good" if load.p95_ms is None else f"p95 {load.p95_ms:,.0f} ms"
    failed = f", {load.failed:,} failed" if load.failed else ""
    audit = "; ".join(f"AUDIT {found.rule}: {found.detail}" for found in broken) or "audit ok"
    late = f", {load.late:,} late, {load.dropped:,} dropped" if result.shape == "open" else ""
    recoveries = "".join(beside.recovery_in_brief(result, run) for run in result.faults)
    if result.shape == "burst":
        well = load.requests - load.failed
        return f"{well:,} of {well + load.failed:,} answered well, {latency}{failed}{recoveries}, {audit}"
    queued = ""
    if result.tickets:
        finished = f", {result.metrics['finished']:,.0f}/s finished" if "finished" in result.metrics else ""
        queued = f", {load.accepted / load.seconds:,.0f}/s accepted{finished}"
    return f"{load.succeeded / load.seconds:,.0f}/s{queued}, {latency}{late}{failed}{recoveries}, {audit}"


def _components(stages: tuple[Stage, ...]) -> list[Component]:
    """What the stages name; a server that none of them names is not started."""
    return sorted({Component(name) for stage in stages for name in stage.infrastructure})


def _databases_of(run: _Run, stage: Stage) -> Mapping[str, str]:
    if stage.id not in run.databases:
        prefix = f"ft_{random_names.token_hex(4)}_{stage.id[:2]}"
        run.databases[stage.id] = {
            package: create_database(run.infrastructure, f"{prefix}_{name}") for package, name in DATABASES.items()
        }
    return run.databases[stage.id]


def _drop_databases(run: _Run) -> None:
    """On a server that is not ours, the databases are the only thing that would stay."""
    if run.options.provider != "external":
        return
    for urls in run.databases.values():
        for url in urls.values():
            drop_database(run.infrastructure, url.rpartition("/")[2].partition("?")[0])
