"""One cell: one scenario on one running stage, once. Seed, warm up, measure, audit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg
from argon2 import PasswordHasher

from common.tokens import issue_token
from harness.errors import HarnessError, first_line
from harness.faults import FaultRun, Injector
from harness.launch import RunningStage
from harness.launch.instance_size import CpuCaps
from harness.launch.running import InstanceSize
from harness.load.process import LoadProcess
from harness.load.result import LoadResult
from harness.provision import Component
from harness.run import drain, tickets
from harness.run.options import RunOptions
from harness.sample import Sampler, Snapshot
from harness.sample.sampler import STEP_SECONDS, cpus_in_use, evenly, memory_mib
from harness.sample.scrape import Readings, increase, scrape
from harness.store.samples import (
    ProcessSample,
    params_suffix,
    process_sample_path,
    sample_path,
    write_process_samples,
)
from harness.store.summary import Params
from harness.supervise import ManagedProcess
from scenarios.dataset import Dataset
from scenarios.model import CellState, Course, Finding, Load, Scenario, Shape, Variant
from scenarios.plan import LoadPlan
from scenarios.seeding import seed_databases, seed_ledger

LOAD = "locust"
# A load that is bounded by its number of requests ends after this time even so.
COUNTED_LIMIT_SECONDS = 600.0

# Outcomes are read when everything has been measured: no cap makes an audit wait.
READING_SIZE = InstanceSize(service=1.0, gateway=1.0)

# Everybody's password in the seeded data. The accounts live in a throw-away database on loopback.
PASSWORD = "Ticket@2go"
PASSWORD_HASH = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1).hash(PASSWORD)


@dataclass(frozen=True)
class Spent:
    """CPU that every process used in a time."""

    cpu_seconds: Mapping[str, float]
    seconds: float


@dataclass(frozen=True)
class CellResult:
    """What one repeat of one cell gave."""

    stage: str
    scenario: str
    params: Params
    """What tells this cell of its scenario from the others."""
    repeat: int
    shape: Shape
    load: LoadResult
    cpu_seconds: Mapping[str, float]
    """CPU seconds of each process in the measured part, Locust included."""
    cpu_window_seconds: float
    cpus: Mapping[str, list[float]]
    """CPUs in use over time, by process: one figure a step."""
    memory_mib: Mapping[str, list[float]]
    """MiB resident over time, by process: one figure at the start, and one behind each step."""
    sampler_cpus: float
    """CPUs that the sampling itself took."""
    findings: list[Finding]
    metrics: Mapping[str, float] = field(default_factory=dict)
    """What the audit measured, by metric id."""
    faults: list[FaultRun] = field(default_factory=list)
    counted: Readings = field(default_factory=dict)
    """What the services counted themselves in the measured part."""
    courses: Sequence[Course] = ()
    """What is drawn over time."""
    tickets: tickets.Ends | None = None
    """How those ended who had to wait in line; None if nobody had to."""
    mixed: bool = False
    """Whether its requests are of several kinds."""
    until_drained: Spent | None = None
    """From the start of the measured part until the last ticket had its outcome."""


def seed(running: RunningStage, dataset: Dataset) -> CellState:
    """Fills the stage's databases and mints the load's tokens."""
    with _failing_servers_named("seeded"):
        seed_databases(running.database_urls, dataset, PASSWORD_HASH)
        seed_ledger(running.ledger, dataset)
    return CellState(
        database_urls=running.database_urls,
        dataset=dataset,
        gateway_url=running.gateway_url,
        tokens=[issue_token(user, running.secrets.jwt) for user in dataset.load_users],
        ledger=running.ledger,
    )


@contextmanager
def _failing_servers_named(what: str) -> Iterator[None]:
    """A database or ledger that cannot be used is a person's to mend: a full disk, a server that was stopped."""
    try:
        yield
    except (psycopg.Error, sqlite3.Error) as problem:
        raise HarnessError(
            f"The data could not be {what}: {first_line(problem)}", "Is the disk full? The servers' logs tell more."
        ) from problem


def load_plan(scenario: Scenario, load: Load, state: CellState, options: RunOptions, repeat: int) -> LoadPlan:
    """What the Locust process is told. The same repeat sends the same requests to every stage."""
    by_count = load.shape == "burst" or (options.exact and load.shape == "closed")
    return LoadPlan(
        scenario=scenario.id,
        host=state.gateway_url,
        shape=load.shape,
        users=load.users,
        rate=load.rate,
        surge=load.surge,
        warm_up_seconds=0.0 if by_count else options.warm_up_seconds,
        seconds=COUNTED_LIMIT_SECONDS if by_count else load.seconds or options.seconds,
        requests_per_user=load.requests_per_user if by_count else None,
        seed=options.seed * 1_000 + repeat,
        tokens=list(state.tokens),
        data=dict(scenario.prepare(state)),
        refusals=sorted(scenario.refusals),
    )


def run_cell(
    running: RunningStage,
    scenario: Scenario,
    variant: Variant,
    repeat: int,
    *,
    dataset: Dataset,
    options: RunOptions,
    caps: CpuCaps,
    folder: Path,
    say: Callable[[str], None],
) -> CellResult:
    """Measures ``scenario`` on ``running`` once; ``folder`` is the run's.

    Raises:
        HarnessError: a process of the stage ended, or the load could not be driven.
    """
    params: Params = dict(variant.params)
    if options.replicas and running.stage.discovery != "static":
        params["replicas"] = options.replicas_text
    if options.faults:
        params["fault"] = " ".join(map(str, options.faults))
    sampler = _sampler(running)

    def restarted(name: str, process: ManagedProcess) -> None:
        sampler.watch(name, process.pid, has_children=name == Component.POSTGRES)
        # A start is not measured: the cap comes when it is ready again, as it did the first time.
        running.await_ready(only=name)
        running.cap(caps, options.instance_size, only=name)

    injector = Injector(options.faults, running.process_of, restarted, running)
    bounds: list[Snapshot] = []
    measured_from: list[float] = []
    scraper, counters = ThreadPoolExecutor(1, "scraper"), list[Future[Readings]]()
    samples = sample_path(folder, running.stage.id, scenario.id, params, repeat)

    def measuring() -> None:
        say("measuring")
        measured_from.append(time.time())
        bounds.append(sampler.snapshot())
        sampler.start()
        injector.start()
        # In a thread: a busy process answers late, by seconds, which neither the bounds nor the faults may wait for.
        counters.append(scraper.submit(scrape, running))

    def measured() -> None:
        bounds.append(sampler.snapshot())
        counters.append(scraper.submit(scrape, running))

    def require_alive() -> None:
        running.require_alive(but=injector.targets)

    log = folder / "logs" / running.stage.id / f"locust-{scenario.id}{params_suffix(params)}-r{repeat}.log"
    try:
        with LoadProcess(running.supervisor, folder=running.supervisor.scratch, log=log, samples=samples) as clients:
            sampler.watch(LOAD, clients.process.pid)
            say("seeding")
            state = seed(running, dataset)
            plan = load_plan(scenario, variant.load, state, options, repeat)
            say("warming up")
            load = clients.run(plan, on_measuring=measuring, on_measured=measured, while_running=require_alive)
        injector.finish()
        running.await_ready()
        if len(bounds) != 2:
            raise HarnessError(f"The load of {scenario.id} on {running.stage.id} ended before it was measured.")
        state = replace(state, answers=load.answers, attempts=load.attempts, measured_from=measured_from[0])
        drained, end = None, bounds[1]
        if state.ticketed:
            line = (state.attempts, state.gateway_url, state.tokens)
            drained = drain.wait_for_last(*line, while_waiting=require_alive, say=say)
            end = sampler.snapshot()
            with _uncapped(running, caps, options.instance_size):
                drain.read_all(*line, while_waiting=require_alive, say=say)
        say("auditing")
    finally:
        injector.finish()
        sampler.stop()
        scraper.shutdown()
    with _failing_servers_named("audited"):
        audited = scenario.audit(state)
    before, after = bounds
    snapshots = evenly(before, sampler.snapshots, end)
    write_process_samples(process_sample_path(samples), _process_samples(snapshots))
    ahead = drained.course(state.measured_from) if drained else None
    return CellResult(
        stage=running.stage.id,
        scenario=scenario.id,
        params=params,
        repeat=repeat,
        shape=variant.load.shape,
        load=tickets.by_outcome(
            load, scenario.refusals, since=state.measured_from, until=state.measured_from + load.seconds
        ),
        cpu_seconds=_spent(before, after).cpu_seconds,
        cpu_window_seconds=_spent(before, after).seconds,
        cpus=cpus_in_use(snapshots),
        memory_mib=memory_mib(snapshots),
        sampler_cpus=sampler.own_cpu_seconds / max(STEP_SECONDS, STEP_SECONDS * len(sampler.snapshots)),
        findings=audited.findings,
        metrics=audited.metrics,
        faults=injector.runs,
        counted=increase(*(reading.result() for reading in counters)),
        courses=[*audited.courses, *([ahead] if ahead else [])],
        tickets=tickets.ends_of(load.attempts, scenario.refusals, drained) if drained else None,
        mixed=scenario.mixed,
        until_drained=_spent(before, end) if drained else None,
    )


@contextmanager
def _uncapped(running: RunningStage, caps: CpuCaps, size: InstanceSize) -> Iterator[None]:
    """What is not measured need not be slow."""
    running.cap(caps, READING_SIZE if size.service is not None else size)
    try:
        yield
    finally:
        running.cap(caps, size)


def _spent(before: Snapshot, after: Snapshot) -> Spent:
    used = {name: seconds - before.cpu_seconds.get(name, 0.0) for name, seconds in after.cpu_seconds.items()}
    return Spent(used, after.at - before.at)


def _sampler(running: RunningStage) -> Sampler:
    sampler = Sampler()
    for name, process in running.instances:
        sampler.watch(name, process.pid)
    for server in running.infrastructure.servers:
        if server.process is not None:
            sampler.watch(
                server.component.value, server.process.pid, has_children=server.component is Component.POSTGRES
            )
    return sampler


def _process_samples(snapshots: Sequence[Snapshot]) -> Iterator[ProcessSample]:
    zero = snapshots[0].at
    for taken in snapshots:
        for name, used in taken.cpu_seconds.items():
            yield ProcessSample(taken.at - zero, name, used, taken.memory_bytes.get(name, 0) / 2**20)
