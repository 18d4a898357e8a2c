"""One cell of the harness with faults in it: a few seconds of a scenario's load, watched, and audited."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from common.tokens import issue_token
from harness.faults import Fault, FaultRun, parse_fault
from harness.faults.inject import recovery_seconds
from harness.faults.model import Action
from harness.launch import RunningStage
from harness.launch.instance_size import NoCaps
from harness.load.result import ACCEPTED, DROPPED, OK, REFUSED, UNANSWERED
from harness.run.cell import CellResult, run_cell
from harness.run.options import RunOptions
from harness.supervise import ManagedProcess
from scenarios.catalog import SCENARIOS
from scenarios.dataset import DATASETS
from scenarios.model import CellState, Load, Scenario, Variant
from tests.faults.answers import breaches, is_of_contract
from tests.faults.witness import Witness, witnessing
from tests.polling import until

# All the shows that the scenarios look at, and 1,000 seeded bookings: more than are canceled in a few seconds.
DATASET = replace(DATASETS["default"], concerts=25, buyers=200, today=datetime.now(UTC).date())

# At a fixed rate: clients of a closed loop that get 503 at once ask so often that a process starts slowly beside them.
LOAD = Load("open", users=20, rate=40.0)
WARM_UP_SECONDS = 0.5

_ANSWERED = re.compile(r"HTTP (\d+), code (\d+)")


@dataclass(frozen=True)
class Struck:
    """A cell that has been through its faults."""

    scenario: Scenario
    result: CellResult
    state: CellState
    """With what the clients remember."""
    witness: Witness
    struck_at: float
    """When the first fault began, in seconds since the epoch; not later, and hardly earlier."""
    back_after: float
    """Seconds from the last fault until the witness was served again by every service."""

    @property
    def outcomes(self) -> dict[str, int]:
        return self.result.load.outcomes

    @property
    def recoveries(self) -> list[tuple[FaultRun, float | None]]:
        """Each fault and the harness' own figure for it in seconds; None if the load ended before."""
        rates = self.result.load.per_second_ok
        return [(run, recovery_seconds(rates, run)) for run in self.result.faults]

    def broken_rules(self) -> list[str]:
        """What the audit found."""
        return _broken(self.result.findings)

    def unfinished(self) -> int:
        """How many cancellations were begun and have not come to an end; the audit has waited for them."""
        with psycopg.connect(self.state.database_urls["order"]) as database:
            query = "SELECT count(*) FROM bookings WHERE status = 'CANCEL_REQUESTED'"
            (count,) = database.execute(query).fetchone() or (0,)
        return int(count)

    def audited_again(self) -> list[str]:
        """What the same audit finds now."""
        return _broken(self.scenario.audit(self.state).findings)

    def wrong_answers(self, *, may_drop: bool = False) -> list[str]:
        """Answers to the load and to the witness that are none of the contract's.

        Args:
            may_drop: whether a connection may have ended without an answer.
        """
        load = [f"load: {kind}" for kind in self.outcomes if not _is_allowed(kind, may_drop)]
        return [*load, *breaches(self.state.attempts, may_drop=may_drop), *self.witness.wrong(may_drop=may_drop)]


def _broken(findings: Sequence[Any]) -> list[str]:
    return [f"{found.rule}: {found.detail}" for found in findings if found.violations]


def _is_allowed(kind: str, may_drop: bool) -> bool:
    """Whether an outcome, in the words of the harness, is one that a client may meet."""
    answered = _ANSWERED.fullmatch(kind)
    if answered is not None:
        return is_of_contract(int(answered[1]), int(answered[2]))
    # Those of a fixed rate that were due and not sent, as every client was waiting; one that was sent and got no answer
    # is among the attempts.
    return kind in (OK, REFUSED, ACCEPTED, DROPPED, UNANSWERED) or (may_drop and kind.startswith("connection: "))


@dataclass
class _Held(RunningStage):
    """A stage whose processes are struck when a moment has come, and not before; it knows when that was."""

    when: Callable[[], bool] = lambda: True
    struck: list[float] = field(default_factory=list)
    """By the monotonic clock, the last moment before each fault."""

    def process_of(self, name: str) -> ManagedProcess:
        """What the injector asks for when a fault is due."""
        assert until(self.when), f"the moment to strike {name} did not come"
        process = super().process_of(name)
        self.struck.append(time.monotonic())
        return process


@dataclass
class Ground:
    """A running stage that may be broken, again and again."""

    running: RunningStage
    folder: Path
    cells: list[Struck] = field(default_factory=list)

    def strike(
        self,
        *faults: str,
        scenario: str,
        seconds: float,
        beside: Callable[[CellState], AbstractContextManager[Any]] | None = None,
        when: Callable[[], bool] = lambda: True,
    ) -> Struck:
        """Loads the stage with a scenario, and carries each fault out on every instance of what it names.

        Args:
            faults: as the command line takes them, as ``kill:order@2s``; in order of time.
            seconds: how long is measured; the audit waits for what is left to be done.
            beside: what else goes on from the warm-up until the audit is over.
            when: a fault that is due waits until this comes true.

        Raises:
            AssertionError: a fault was not what was asked for, or a service did not recover by itself.
        """
        chosen = SCENARIOS[scenario]
        state = self._state()
        held = _Held(**vars(self.running), when=when)
        witnesses: list[Witness] = []
        with ExitStack() as stack:

            def say(step: str) -> None:
                if step == "warming up":
                    if beside is not None:
                        stack.enter_context(beside(state))
                    self._checkpoint()
                if step == "measuring":
                    witnesses.append(stack.enter_context(witnessing(state)))

            result = run_cell(
                held,
                chosen,
                Variant(LOAD),
                repeat=1,
                dataset=DATASET,
                options=self._options(chosen, seconds, [fault for text in faults for fault in self._parsed(text)]),
                caps=NoCaps("nothing is compared here"),
                folder=self.folder,
                say=say,
            )
            assert not [run for run in result.faults if run.problem], result.faults
            (witness,) = witnesses
            last = held.struck[-1]
            back_at = witness.await_recovery(last + _blind_seconds(result.faults[-1]))
        told = replace(state, answers=result.load.answers, attempts=result.load.attempts)
        struck_at = time.time() - time.monotonic() + held.struck[0]
        self.cells.append(Struck(chosen, result, told, witness, struck_at, back_at - last))
        return self.cells[-1]

    def _checkpoint(self) -> None:
        """So that a crash of PostgreSQL costs the same, however many cells have written to it before."""
        with psycopg.connect(self.running.infrastructure.postgres_url, autocommit=True) as server:
            server.execute("CHECKPOINT")

    def _parsed(self, text: str) -> Iterator[Fault]:
        """The fault, on every instance of what it names."""
        servers = [server.component.value for server in self.running.infrastructure.servers]
        fault = parse_fault(text, {*self.running.processes, *servers})
        names = [*servers, *(name for name, _ in self.running.instances)]
        return (replace(fault, target=name) for name in names if fault.target in (name, name.partition("#")[0]))

    def _options(self, scenario: Scenario, seconds: float, faults: list[Fault]) -> RunOptions:
        return RunOptions(
            profile="smoke",
            stages=(self.running.stage,),
            scenarios=(scenario,),
            repeats=1,
            warm_up_seconds=WARM_UP_SECONDS,
            seconds=seconds,
            service_cpus=None,
            provider="embedded",
            dataset=DATASET.name,
            seed=1,
            exact=False,
            faults=tuple(faults),
        )

    def _state(self) -> CellState:
        """What the harness makes when it seeds: the same people on the same data, known here beforehand."""
        running = self.running
        return CellState(
            database_urls=running.database_urls,
            dataset=DATASET,
            gateway_url=running.gateway_url,
            tokens=[issue_token(user, running.secrets.jwt) for user in DATASET.load_users],
            ledger=running.ledger,
        )


def _blind_seconds(run: FaultRun) -> float:
    """For how long after a fault recovery is not looked for: what stands still has not been missed yet."""
    assert run.began is not None
    assert run.ended is not None
    return run.ended - run.began if run.fault.action is Action.PAUSE else 0.0
