"""The processes that sell, the servers that they sell on, and what a crowd costs both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path

import psutil
import psycopg

from experiments.seat_contention.model import GUARDS, Answers, Crowd, Guard, Load, Run
from harness.provision import Component, Infrastructure, create_database, database_url, provision
from harness.stages.manifest import REPOSITORY, STAGES_ROOT
from harness.supervise import Supervisor

INSTANCES = 2
_HEAD_START_SECONDS = 0.2
# Port 1 is reserved (tcpmux): connections to it are refused, as those to a Redis that has died.
_NOBODY = "redis://127.0.0.1:1/0"
_TWICE = """
    SELECT count(*) FROM (
        SELECT FROM bookings WHERE schedule_id = %s AND status <> 'CANCELED'
        GROUP BY seat_row, seat_column HAVING count(*) > 1
    ) AS seat
"""


class Hall:
    """Two instances of each guard, on one PostgreSQL and one Redis."""

    def __init__(self, servers: Infrastructure, sellers: Mapping[str, Sequence[subprocess.Popen[str]]]) -> None:
        self._servers = servers
        self._sellers = sellers
        self._schedules = count(1)

    @property
    def versions(self) -> str:
        return ", ".join(f"{server.component.value} {server.version}" for server in self._servers.servers)

    def run(self, guard: Guard, load: Load) -> Run:
        """Lets the load come, to seats that nobody has sold yet; it is shared evenly among the instances."""
        schedule_id = next(self._schedules)
        columns = [1] * load.buyers if load.one_seat else list(range(1, load.buyers + 1))
        before = self._cpu(Component.POSTGRES), self._cpu(Component.REDIS)
        at = time.monotonic() + _HEAD_START_SECONDS
        busy = [
            (seller, Crowd(schedule_id, share, at, load.at_once))
            for number, seller in enumerate(self._sellers[guard.name])
            if (share := columns[number::INSTANCES])
        ]
        for seller, crowd in busy:
            _tell(seller, json.dumps(asdict(crowd)))
        answers = [Answers(**json.loads(_heard(seller))) for seller, _ in busy]
        after = self._cpu(Component.POSTGRES), self._cpu(Component.REDIS)
        with psycopg.connect(_url(self._servers, guard)) as database:
            twice = database.execute(_TWICE, [schedule_id]).fetchone()
        assert twice is not None
        return Run(
            answers,
            seats_sold_twice=twice[0],
            seconds=max(answer.ended for answer in answers) - at,
            postgres_cpu_seconds=after[0] - before[0],
            redis_cpu_seconds=after[1] - before[1],
        )

    def _cpu(self, component: Component) -> float:
        """CPU seconds so far of a server and its processes; the sellers' connections, and so these, stay."""
        process = self._servers.server(component).process
        assert process is not None
        parent = psutil.Process(process.pid)
        total = 0.0
        for one in (parent, *parent.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):  # somebody else's connection
                times = one.cpu_times()
                total += times.user + times.system
        return total


@contextmanager
def opened(folder: Path) -> Iterator[Hall]:
    """Servers are started, databases migrated, instances ready; all of it is stopped in the end.

    Args:
        folder: for logs.
    """
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor("seat-contention"))
        servers = stack.enter_context(provision("embedded", supervisor, log_folder=folder, report=print))
        servers.ensure(Component.POSTGRES, Component.REDIS)
        for guard in GUARDS:
            create_database(servers, _database(guard))
            migrating = [sys.executable, "-m", "common.migrations", "order"]
            subprocess.run(migrating, env=_environment(servers, guard), cwd=REPOSITORY, check=True)
        sellers = {
            guard.name: [stack.enter_context(_seller(servers, guard, folder)) for _ in range(INSTANCES)]
            for guard in GUARDS
        }
        for some in sellers.values():
            for seller in some:
                _heard(seller)
        yield Hall(servers, sellers)


@contextmanager
def _seller(servers: Infrastructure, guard: Guard, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "experiments.seat_contention.seller", guard.name]
    with (
        (folder / f"{guard.name}.log").open("a") as log,
        subprocess.Popen(
            command, env=_environment(servers, guard), cwd=REPOSITORY, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
        ) as process,
    ):  # fmt: skip
        try:
            yield process
        finally:
            process.kill()


def _tell(seller: subprocess.Popen[str], line: str) -> None:
    assert seller.stdin is not None
    seller.stdin.write(line + "\n")
    seller.stdin.flush()


def _heard(seller: subprocess.Popen[str]) -> str:
    assert seller.stdout is not None
    line = seller.stdout.readline()
    if not line:
        raise RuntimeError(f"{seller.args!r} has ended; see its log")
    return line


def _environment(servers: Infrastructure, guard: Guard) -> dict[str, str]:
    return {
        "PYTHONPATH": f"{STAGES_ROOT / guard.stage}:{REPOSITORY}",
        "ORDER_DATABASE_URL": _url(servers, guard),
        "IDENTITY_KEY": "k" * 32,
        "PAYMENT_SECRET_KEY": "k" * 32,
        "REDIS_URL": servers.redis_url if guard.has_redis else _NOBODY,
    }


def _database(guard: Guard) -> str:
    return f"contention_{guard.name}"


def _url(servers: Infrastructure, guard: Guard) -> str:
    return database_url(servers.postgres_url, _database(guard))
