"""What the gateway costs, beside the least that it could: ``python -m experiments.gateway_cost``.

Four processes answer the same request of 64 clients in turn: a bare uvicorn; two bare hops, which pass the request on
to the first, one with aiohttp as it is meant to be used and one with the platform's own client; and stage 01's gateway,
which does the same as they with all that a gateway is for. Told is the CPU time that each
takes for a request. The specification's own figures for the first two (shared/spec/measured-costs.md) tell how fast
this machine is now, and so what a budget that was set beside them means here.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import psutil
import uvloop
from rich.console import Console
from rich.table import Table

from common.identity import Role, User
from common.tokens import issue_token
from experiments.gateway_cost.constant import BODY
from harness.errors import HarnessError
from harness.launch import Secrets
from harness.stages.manifest import REPOSITORY, find_stage
from harness.supervise import ManagedProcess, Supervisor, free_port

CLIENTS = 64
PATH = "/concert-service/concerts"
READY_SECONDS = 30.0

BARE, HOP, LEAN_HOP, GATEWAY = "bare uvicorn", "bare hop, aiohttp", "bare hop, own client", "gateway"
REFERENCE_US: Mapping[str, float] = {BARE: 36.0, HOP: 151.0}
"""CPU a request on the machine of measured-costs.md."""


@dataclass(frozen=True)
class Rung:
    """One of the processes, and where it listens."""

    name: str
    process: ManagedProcess
    port: int


@contextmanager
def opened(folder: Path, secrets: Secrets) -> Iterator[list[Rung]]:
    """The processes, started but not ready yet; they are stopped in the end."""
    package, stage = __package__ or "", find_stage("01")
    ports = {name: free_port() for name in (BARE, HOP, LEAN_HOP, GATEWAY)}
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    path = os.pathsep.join([str(stage.folder), str(REPOSITORY)])
    environments = {
        BARE: {"RUNG_PORT": str(ports[BARE])},
        HOP: {"RUNG_PORT": str(ports[HOP]), "RUNG_UPSTREAM_URL": urls[BARE]},
        LEAN_HOP: {"RUNG_PORT": str(ports[LEAN_HOP]), "RUNG_UPSTREAM_URL": urls[BARE]},
        GATEWAY: {
            "GATEWAY_PORT": str(ports[GATEWAY]),
            "GATEWAY_SERVICE_URLS": json.dumps({"concert-service": urls[BARE]}),
            "JWT_SECRET": secrets.jwt,
            "IDENTITY_KEY": secrets.identity,
        },
    }
    served = {
        BARE: f"{package}:constant", HOP: f"{package}:hop", LEAN_HOP: f"{package}:lean_hop", GATEWAY: "gateway"
    }  # fmt: skip
    with Supervisor("gateway-cost") as supervisor:
        rungs = []
        for name, own in environments.items():
            process = supervisor.spawn(
                name,
                [sys.executable, "-m", "common.serve", served[name]],
                env={"PATH": os.environ["PATH"], "PYTHONPATH": path, **own},
                cwd=REPOSITORY,
                log=folder / f"{served[name]}.log",
            )
            rungs.append(Rung(name, process, ports[name]))
        yield rungs


class _Client(asyncio.Protocol):
    """Asks, and asks again as soon as it has its answer. An HTTP library would take more than what is measured."""

    def __init__(self, request: bytes, failed: asyncio.Future[None]) -> None:
        self._request = request
        self._failed = failed
        self._received = b""
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(BODY):
            self._received = b""
            self.answered += 1
            self.transport.write(self._request)
        elif len(self._received) > 2 * len(BODY) or not self._received.startswith(b"HTTP/1.1 200"):
            self._fail(self._received[:80].decode("latin-1"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"it closed a connection ({exc})")

    def _fail(self, why: str) -> None:
        if not self._failed.done():
            self._failed.set_exception(HarnessError(f"An answer is not what it should be: {why}"))


def _await_ready(rung: Rung) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            with socket.create_connection(("127.0.0.1", rung.port), timeout=1.0):
                return
        except OSError as problem:
            if not rung.process.alive() or time.monotonic() > deadline:
                raise HarnessError(f"{rung.name} does not answer.", f"See its log, {rung.process.log}.") from problem
        time.sleep(0.05)


async def _load(rung: Rung, token: str, seconds: float) -> float:
    """Asks for that long; the CPU time of the process for a request, in microseconds."""
    loop = asyncio.get_running_loop()
    process = psutil.Process(rung.process.pid)
    request = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    failed: asyncio.Future[None] = loop.create_future()
    before = process.cpu_times()
    connecting = [
        loop.create_connection(partial(_Client, request, failed), "127.0.0.1", rung.port) for _ in range(CLIENTS)
    ]
    clients = [client for _, client in await asyncio.gather(*connecting)]
    with suppress(TimeoutError):
        await asyncio.wait_for(failed, seconds)
    after, answered = process.cpu_times(), sum(client.answered for client in clients)
    for client in clients:
        client.transport.abort()
    if not answered:
        raise HarnessError(f"{rung.name} answered nothing within {seconds} s.", "Measure for longer: --seconds 2.")
    return (after.user + after.system - before.user - before.system) * 1e6 / answered


def measure(rungs: list[Rung], token: str, rounds: int, seconds: float, console: Console) -> dict[str, list[float]]:
    """CPU microseconds a request, for each process and round; they take turns."""
    costs: dict[str, list[float]] = {rung.name: [] for rung in rungs}
    for rung in rungs:
        _await_ready(rung)
        uvloop.run(_load(rung, token, seconds))  # what is done for the first time costs more
    for number in range(rounds):
        console.print(f"round {number + 1} of {rounds}", style="dim")
        for rung in rungs:
            costs[rung.name].append(uvloop.run(_load(rung, token, seconds)))
    return costs


def table(costs: Mapping[str, list[float]]) -> Table:
    """Medians with their spread, and the ratios that carry over to another machine, each within its round."""
    shown = Table("process", "CPU µs a request (spread)", "of the bare hop's", "measured-costs.md", "this machine")
    for name, taken in costs.items():
        median, reference = statistics.median(taken), REFERENCE_US.get(name)
        of_hop = statistics.median(own / hop for own, hop in zip(taken, costs[HOP], strict=True))
        in_its_units = f"{of_hop:.2f} × {REFERENCE_US[HOP]:.0f} = {of_hop * REFERENCE_US[HOP]:.0f}"
        there = f"{reference:.0f}" if reference else in_its_units
        here = f"{median / reference:.2f} times that" if reference else ""
        spread = f"{median:,.0f} ({min(taken):,.0f}–{max(taken):,.0f})"
        shown.add_row(name, spread, f"{of_hop:.2f}", there, here)
    return shown


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.gateway_cost",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=10, help="how often each is measured (default: 10)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement (default: 2)")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds must be at least 1, and --seconds more than 0")
    console = Console()
    secrets = Secrets()
    token = issue_token(User(1, "somebody@fortickets.example", Role.USER), secrets.jwt)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        rungs = stack.enter_context(opened(folder, secrets))
        costs = measure(rungs, token, options.rounds, options.seconds, console)
    console.print(table(costs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
