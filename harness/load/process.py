"""Runs the Locust process of one cell and follows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.errors import HarnessError
from harness.load.result import LoadResult
from harness.stages.manifest import REPOSITORY
from harness.supervise import ManagedProcess, Supervisor
from scenarios.plan import LoadPlan

_POLL_SECONDS = 0.02
# Beyond the plan's own times: the import of Locust, the start of the users, the writing of the samples.
_ALLOWANCE_SECONDS = 90.0


def run_load(
    plan: LoadPlan,
    supervisor: Supervisor,
    *,
    folder: Path,
    log: Path,
    samples: Path,
    on_started: Callable[[ManagedProcess], None],
    on_measuring: Callable[[], None],
    on_measured: Callable[[], None],
    while_running: Callable[[], None],
) -> LoadResult:
    """The result of ``plan``; the callbacks are called at once when the measured part begins and ends.

    ``while_running`` is called again and again, and may raise: a stage that has lost a process is not measured on.

    Raises:
        HarnessError: the load process failed, or did not end in time.
    """
    plan_file, result_file = folder / "plan.json", folder / "result.json"
    result_file.unlink(missing_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    plan.save(plan_file)
    samples.parent.mkdir(parents=True, exist_ok=True)
    process = supervisor.spawn(
        "locust",
        [sys.executable, "-m", "harness.load.worker", plan_file, result_file, samples],
        cwd=REPOSITORY,
        log=log,
    )
    on_started(process)
    try:
        _follow(process, plan, log, {"measuring": on_measuring, "measured": on_measured}, while_running)
    finally:
        supervisor.release(process)
        plan_file.unlink(missing_ok=True)
    if process.returncode != 0 or not result_file.exists():
        last = next((line for line in reversed(process.tail()) if line.strip()), "it logged nothing")
        raise HarnessError(f"The load process failed: {last.strip()}", f"See its log, {log}.")
    return LoadResult.load(result_file)


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
