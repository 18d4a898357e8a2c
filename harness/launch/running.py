"""One stage as it runs: started, waited for, capped, stopped."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex
from typing import Self

from harness.errors import HarnessError
from harness.launch.environment import DATABASES, Wiring, migration_environment, process_environment
from harness.launch.instance_size import CpuCaps
from harness.launch.ports import FreePorts, Ports
from harness.launch.secrets import Secrets
from harness.provision import Infrastructure
from harness.stages.manifest import REGISTERING, REPOSITORY, Stage
from harness.supervise import ManagedProcess, Supervisor, free_port

READY_SECONDS = 60.0
_POLL_SECONDS = 0.03

# Components that are no stage's: the payment provider is the same for all of them, the ceiling is the harness's.
PAYMENT, NOOP = "payment", "noop"
_PACKAGES = {PAYMENT: "payment_simulator", NOOP: "harness.noop"}


@dataclass(frozen=True)
class InstanceSize:
    """CPUs of one instance; None where it is not capped."""

    service: float | None
    gateway: float | None

    def of(self, component: str) -> float | None:
        """The payment provider stands for somebody else's system and is not capped."""
        if component == PAYMENT:
            return None
        return self.gateway if component == "gateway" else self.service


UNCAPPED = InstanceSize(None, None)


@dataclass
class RunningStage:
    """The processes of one stage and where they listen."""

    stage: Stage
    infrastructure: Infrastructure
    database_urls: Mapping[str, str]
    service_urls: Mapping[str, str]
    secrets: Secrets
    supervisor: Supervisor
    ledger: Path
    """The payment simulator's SQLite file, for audits."""
    ports: Mapping[str, list[int]]
    """Component to the port of each of its instances, of those that have left too."""
    prefix: str
    """Of its Redis keys, where ``:`` follows, and of its Kafka topics and groups, where ``.`` does."""
    processes: dict[str, list[ManagedProcess]] = field(default_factory=dict)
    """Component (gateway, user, concert, order, noop, a worker's name) to its instances, in order of their start."""
    ready_seconds: float = 0.0
    start_another: Callable[[str, int, int], ManagedProcess] | None = None
    """Starts a component's replica (counted from 0) on a port."""
    absent: set[str] = field(default_factory=set)
    """Instances that have left on purpose, by name; they keep their names, and may be started again."""

    @property
    def gateway_url(self) -> str:
        return self.service_urls["gateway"]

    @property
    def instances(self) -> Iterator[tuple[str, ManagedProcess]]:
        """Every process by its name: ``order``, and ``order#2`` for a second replica; without those that have left."""
        return ((name, process) for name, process, _ in self._all() if name not in self.absent)

    def _all(self) -> Iterator[tuple[str, ManagedProcess, int]]:
        for component, processes in self.processes.items():
            for number, (process, port) in enumerate(zip(processes, self.ports[component], strict=True), start=1):
                yield (component if number == 1 else f"{component}#{number}"), process, port

    def process_of(self, name: str) -> ManagedProcess:
        """The process of that name, a server's included.

        Raises:
            HarnessError: there is none, or it is not this run's.
        """
        servers = {server.component.value: server.process for server in self.infrastructure.servers}
        process = {**servers, **{own: process for own, process, _ in self._all()}}.get(name)
        if process is None:
            raise HarnessError(f"No process of this run is called {name!r}.", "A server of another provider's is not.")
        return process

    def cap(self, caps: CpuCaps, size: InstanceSize, only: str | None = None) -> None:
        """Gives every instance (or ``only`` one) its CPU budget; done once it is ready: a start is not measured."""
        for name, process in self.instances:
            cpus = size.of(name.partition("#")[0])
            if cpus is not None and only in (None, name):
                caps.cap(name, [process.pid], cpus)

    def require_alive(self, but: Collection[str] = ()) -> None:
        """Raises HarnessError, naming the process and its last words, if one has ended that is not in ``but``."""
        for name, process in self.instances:
            if name not in but and not process.alive():
                raise _died(process)

    def await_ready(self, report: Callable[[str], None] = lambda sentence: None, only: str | None = None) -> None:
        """Returns when every instance (or ``only`` one) says that it is ready.

        Raises:
            HarnessError: one has ended, or is not ready within ``READY_SECONDS``.
        """
        deadline = time.monotonic() + READY_SECONDS
        for name, process, port in [*self._all()]:
            if only not in (None, name) or name in self.absent:
                continue
            while not _is_ready(port):
                if not process.alive():
                    raise _died(process)
                if time.monotonic() > deadline:
                    raise HarnessError(
                        f"{name} was not ready within {READY_SECONDS:.0f} s.", f"See its log, {process.log}."
                    )
                time.sleep(_POLL_SECONDS)
            report(f"{name} is ready")

    def add(self, component: str) -> tuple[str, ManagedProcess]:
        """Starts one more instance of a service and gives it with its name; it may not be ready yet.

        Raises:
            HarnessError: the stage's processes do not find each other, so that nobody would use it.
        """
        if self.stage.discovery == "static" or self.start_another is None or component not in REGISTERING:
            raise HarnessError(
                f"{self.stage.id} cannot have one more {component}.", f"With discovery: {' or '.join(REGISTERING)}."
            )
        processes = self.processes[component]
        port = free_port()
        processes.append(self.start_another(component, len(processes), port))
        self.ports[component].append(port)
        return f"{component}#{len(processes)}", processes[-1]

    def remove(self, name: str) -> None:
        """Has an instance leave as an orchestrator would (SIGTERM); returns when it has ended."""
        self.absent.add(name)
        self.process_of(name).terminate()

    def bring_back(self, name: str) -> ManagedProcess:
        """Starts an instance again that has left."""
        process = self.process_of(name)
        process.respawn()
        self.absent.discard(name)
        return process

    def stop(self) -> None:
        """Ends the processes: the gateway first, so that no request reaches a service that is leaving."""
        gateways = self.processes.pop("gateway", [])
        others = [process for processes in self.processes.values() for process in processes]
        for leaving in (gateways, others):
            with ThreadPoolExecutor(max(1, len(leaving))) as threads:
                list(threads.map(self.supervisor.release, leaving))
        self.processes.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def launch(
    stage: Stage,
    infrastructure: Infrastructure,
    supervisor: Supervisor,
    *,
    database_urls: Mapping[str, str],
    secrets: Secrets,
    log_folder: Path,
    ports: Ports | None = None,
    seed: int = 1,
    with_noop: bool = False,
    overrides: Mapping[str, str] | None = None,
    report: Callable[[str], None] = lambda sentence: None,
) -> RunningStage:
    """Migrates the databases and starts every process of ``stage``; returns when all of them are ready.

    Raises:
        HarnessError: a process ended or was not ready in time; everything that was started is stopped again.
    """
    started = time.monotonic()
    plan = _instances(stage, ports or FreePorts(), with_noop)
    wiring = Wiring(
        stage=stage,
        infrastructure=infrastructure,
        database_urls=database_urls,
        service_urls={
            component: f"http://127.0.0.1:{addresses[0]}" for component, addresses in plan.items() if addresses[0]
        },
        secrets=secrets,
        prefix=f"ft{token_hex(3)}",
        ledger=supervisor.scratch / f"payments-{stage.id}-{token_hex(4)}.sqlite3",
        seed=seed,
        overrides=overrides or {},
    )
    running = RunningStage(
        stage,
        infrastructure,
        database_urls,
        wiring.service_urls,
        secrets,
        supervisor,
        wiring.ledger,
        plan,
        wiring.prefix,
    )

    def start(component: str, replica: int, port: int) -> ManagedProcess:
        return _start(wiring, supervisor, component, replica, port, log_folder)

    running.start_another = start
    try:
        # Everything starts at once: importing takes longer than migrating, and a service needs no table to import.
        migration = _migrate(wiring, supervisor, log_folder)
        for component, addresses in plan.items():
            running.processes[component] = [start(component, replica, port) for replica, port in enumerate(addresses)]
        _finish(migration)
        supervisor.release(migration)
        running.await_ready(report)
    except BaseException:
        running.stop()
        raise
    running.ready_seconds = time.monotonic() - started
    return running


def check_ports(stage: Stage, ports: Ports) -> None:
    """Raises HarnessError if a port that ``stage`` needs is occupied, before anything is started for it."""
    _instances(stage, ports, with_noop=False)


def _instances(stage: Stage, ports: Ports, with_noop: bool) -> dict[str, list[int]]:
    """Component to the port of each of its instances."""
    plan: dict[str, list[int]] = {
        str(name): [ports.port(str(name), replica) for replica in range(spec.replicas)]
        for name, spec in stage.services.items()
    }
    plan |= {name: [free_port() for _ in range(worker.replicas)] for name, worker in stage.workers.items()}
    plan[PAYMENT] = [ports.port(PAYMENT, 0)]
    if with_noop:
        plan[NOOP] = [ports.port(NOOP, 0)]
    return plan


def _start(
    wiring: Wiring, supervisor: Supervisor, component: str, replica: int, port: int, log_folder: Path
) -> ManagedProcess:
    name = component if replica == 0 else f"{component}-{replica + 1}"
    worker = wiring.stage.workers.get(component)
    if worker is not None:
        # A worker answers /health on a port of its own, and has the settings of the service that it works for.
        package, served = worker.package, f"{worker.package}:{worker.module.partition('.')[2]}"
    else:
        package, served = component, _PACKAGES.get(component, component)
    return supervisor.spawn(
        name,
        [sys.executable, "-m", "common.serve", served],
        env=process_environment(wiring, package, port),
        cwd=REPOSITORY,
        log=log_folder / f"{name}.log",
        grace_seconds=15.0,
    )


def _migrate(wiring: Wiring, supervisor: Supervisor, log_folder: Path) -> ManagedProcess:
    return supervisor.spawn(
        "migrations",
        [sys.executable, "-m", "common.migrations", *DATABASES],
        env=migration_environment(wiring),
        cwd=REPOSITORY,
        log=log_folder / "migrations.log",
    )


def _finish(migration: ManagedProcess) -> None:
    code = migration.wait(READY_SECONDS)
    if code is None:
        raise HarnessError(f"The migrations did not finish within {READY_SECONDS:.0f} s.", f"See {migration.log}.")
    if code != 0:
        raise _died(migration)


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2.0)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _died(process: ManagedProcess) -> HarnessError:
    last = next((line for line in reversed(process.tail()) if line.strip()), "it logged nothing")
    return HarnessError(
        f"{process.name} ended with code {process.returncode}: {last.strip()}", f"See its log, {process.log}."
    )
