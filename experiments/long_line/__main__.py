"""Queues very many bookings at stage 05 and drains them: ``python -m experiments.long_line [--tickets N]``.

While the dispatcher stands still, every booking is asked for at the gateway and gets a ticket. Then the dispatcher goes
on, and three order-services empty the line. Told are the gateway's memory, the drain rate, and how far the ETA was off.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psutil
import psycopg
from rich.console import Console

from harness.launch import RunningStage, Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, create_database, provision
from harness.run.cell import seed
from harness.stages.manifest import find_stage
from harness.supervise import Supervisor
from scenarios.dataset import DATASETS, FREE_SEATS, ON_SALE, concert_of, free_seat, prices
from scenarios.model import CellState

STAGE, ORDERS = "05_queue", 3
CLIENTS = 200
OVERRIDES = {"GATEWAY_LIMIT_AT_MOST": "1", "GATEWAY_LIMIT_AT_LEAST": "1"}
BOOKINGS = "/order-service/bookings"


@dataclass(frozen=True)
class Look:
    """At the last ticket, at one moment: how many had their outcomes by then."""

    at: float
    eta_seconds: int
    ended: int


@contextmanager
def opened(folder: Path) -> Iterator[tuple[RunningStage, CellState]]:
    """The stage with its data, on servers of its own; all of it is stopped in the end."""
    stage = find_stage(STAGE)
    with ExitStack() as stack:
        supervisor = stack.enter_context(Supervisor("long-line"))
        servers = stack.enter_context(provision("embedded", supervisor, log_folder=folder, report=print))
        servers.ensure(*(Component(name) for name in stage.infrastructure))
        running = stack.enter_context(
            launch(
                stage.with_replicas({"order": ORDERS}),
                servers,
                supervisor,
                database_urls={package: create_database(servers, name) for package, name in DATABASES.items()},
                secrets=Secrets(),
                log_folder=folder,
                overrides=OVERRIDES,
            )
        )
        yield running, seed(running, DATASETS["default"])


async def queue(state: CellState, tickets: int) -> list[str]:
    """Asks for so many bookings, of all shows in turn; the addresses of the tickets."""
    users, known = state.dataset.load_users, prices(state.dataset)
    numbers = iter(range(tickets))

    async def client(session: aiohttp.ClientSession) -> list[str]:
        found = []
        for number in numbers:
            schedule, who = 1 + number % ON_SALE, number % len(users)
            seat = free_seat(number // ON_SALE % FREE_SEATS)
            body: dict[str, Any] = {
                "scheduleId": schedule, "userId": users[who].user_id, "seat": [seat],
                "price": known[concert_of(state.dataset, schedule)],
            }  # fmt: skip
            headers = {"authorization": f"Bearer {state.tokens[who]}"}
            async with session.post(state.gateway_url + BOOKINGS, json=body, headers=headers) as answer:
                if answer.status == 202:
                    found.append(answer.headers["location"])
                elif answer.status != 200:
                    raise SystemExit(f"{answer.status}: {await answer.text()}")
        return found

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        return [
            address for some in await asyncio.gather(*(client(session) for _ in range(CLIENTS))) for address in some
        ]


async def drain(running: RunningStage, state: CellState, addresses: Sequence[str]) -> list[Look]:
    """Looks at the ticket with the highest number once a second, until it has ended."""
    last = max(addresses, key=lambda address: int(address.rpartition("/")[2].split(".")[1]))
    user_id = int(last.rpartition("/")[2].split(".")[2])
    token = state.tokens[[user.user_id for user in state.dataset.load_users].index(user_id)]
    looks = []
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"}) as session:
        while True:
            async with session.get(state.gateway_url + last) as answer:
                place = (await answer.json())["data"]
            looks.append(Look(time.monotonic(), place["etaSeconds"], _ended(running)))
            if place["status"] not in ("WAITING", "PROCESSING"):
                return looks
            await asyncio.sleep(1)


def _ended(running: RunningStage) -> int:
    with psycopg.connect(running.database_urls["order"]) as database:
        row = database.execute("SELECT count(*) FROM tickets").fetchone()
    return 0 if row is None else int(row[0])


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m experiments.long_line", description=__doc__)
    parser.add_argument("--tickets", type=int, default=100_000, help="how many bookings wait (default: 100000)")
    options = parser.parse_args(arguments)
    if options.tickets < 1:
        parser.error("--tickets must be at least 1")
    console = Console()
    with TemporaryDirectory() as folder, opened(Path(folder)) as (running, state):
        gateway = psutil.Process(running.process_of("gateway").pid)
        before = gateway.memory_info().rss
        dispatcher = running.process_of("dispatcher")
        dispatcher.pause()
        asyncio.run(queue(state, 2))  # the first passes, if nobody waits; from then on somebody does
        started = time.monotonic()
        addresses = asyncio.run(queue(state, options.tickets))
        queued = time.monotonic() - started
        with_all = gateway.memory_info().rss
        console.print(
            f"{len(addresses):,} tickets in {queued:.1f} s ({len(addresses) / queued:,.0f}/s); the gateway's memory:"
            f" {before / 2**20:.0f} MiB before, {with_all / 2**20:.0f} MiB with all of them waiting"
        )
        dispatcher.resume()
        looks = asyncio.run(drain(running, state, addresses))
    end = looks[-1].at
    seconds = end - looks[0].at
    # The first seconds know nothing of the rate yet, as the dispatcher stood still.
    halves = [look for look in looks if seconds * 0.1 <= look.at - looks[0].at <= seconds * 0.9]
    errors = [abs(look.eta_seconds - (end - look.at)) / (end - look.at) for look in halves]
    console.print(
        f"drained in {seconds:.1f} s: {len(addresses) / seconds:,.0f} outcomes a second with {ORDERS} instances"
    )
    if errors:
        console.print(
            f"the ETA was off by {statistics.median(errors):.0%} (median of {len(errors)}), {max(errors):.0%} at most"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
