"""Runs the Locust process of one cell and follows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from harness.errors import HarnessError
from harness.load.result import LoadResult
from harness.stages.manifest import REPOSITORY
from harness.supervise import ManagedProcess, Supervisor
from scenarios.plan import LoadPlan

_POLL_SECONDS = 0.02
# Beyond the plan's own times: the import of Locust, the start of the users, the writing of the samples.
_ALLOWANCE_SECONDS = 90.0


class LoadProcess:
    """The Locust process of one cell; at the end of the block it has ended.

    It is started before its plan is known: the import of Locust takes as long as the seeding of a cell's data, and both
    go on at the same time.
    """

    def __init__(self, supervisor: Supervisor, *, folder: Path, log: Path, samples: Path) -> None:
        self._supervisor = supervisor
        self._plan_file, self._result_file = folder / "plan.json", folder / "result.json"
        self._log = log
        self._plan_file.unlink(missing_ok=True)
        self._result_file.unlink(missing_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")
        samples.parent.mkdir(parents=True, exist_ok=True)
        self.process = supervisor.spawn(
            "locust",
            [sys.executable, "-m", "harness.load.worker", self._plan_file, self._result_file, samples],
            cwd=REPOSITORY,
            log=log,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._supervisor.release(self.process)
        self._plan_file.unlink(missing_ok=True)

    def run(
        self,
        plan: LoadPlan,
        *,
        on_measuring: Callable[[], None],
        on_measured: Callable[[], None],
        while_running: Callable[[], None],
    ) -> LoadResult:
        """The result of ``plan``; the callbacks are called at once when the measured part begins and ends.

        ``while_running`` is called again and again, and may raise: a stage that has lost a process is not measured on.

        Raises:
            HarnessError: the load process failed, or did not end in time.
        """
        # It must not see half a plan.
        unseen = self._plan_file.with_suffix(".part")
        plan.save(unseen)
        unseen.replace(self._plan_file)
        _follow(self.process, plan, self._log, {"measuring": on_measuring, "measured": on_measured}, while_running)
        if self.process.returncode != 0 or not self._result_file.exists():
            last = next((line for line in reversed(self.process.tail()) if line.strip()), "it logged nothing")
            raise HarnessError(f"The load process failed: {last.strip()}", f"See its log, {self._log}.")
        return LoadResult.load(self._result_file)


def _follow(
    process: ManagedProcess,
    plan: LoadPlan,
    log: Path,
    moments: dict[str, Callable[[], None]],
    while_running: Callable[[], None],
) -> None:
    deadline = time.monotonic() + plan.warm_up_seconds + plan.seconds + _ALLOWANCE_SECONDS
    waiting = list(moments)
    with log.open() as lines:
        while True:
            alive = process.alive()
            for line in lines:
                if waiting and line.strip() == waiting[0]:
                    moments[waiting.pop(0)]()
            if not alive:
                return
            if time.monotonic() > deadline:
                raise HarnessError("The load process did not end in time.", f"See its log, {log}.")
            while_running()
            time.sleep(_POLL_SECONDS)
