"""``python -m harness.load.worker PLAN RESULT SAMPLES``: one cell's load in a process of its own.

It begins when the plan is there, and says ``measuring`` and ``measured`` on stdout when the measured part begins and
ends, so that the harness can read every process's CPU at the same two moments. It stops by itself: after the plan's
seconds, or after its requests.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from importlib import import_module
from inspect import isclass
from pathlib import Path

import gevent

# Locust patches the standard library for gevent; it has to be imported before anything that opens a socket.
import locust
from locust.env import Environment

from harness.load.recorder import Recorder
from harness.store.samples import write_samples
from scenarios.arrivals import Arrivals
from scenarios.client import attempts, dropped, fire, send_home
from scenarios.model import TURN_SECONDS
from scenarios.plan import PLAN_VARIABLE, LoadPlan

# The harness reads the processes' CPU when it reads a line; the load goes on for this long, so that what it reads is
# the CPU of a stage under load.
OVERLAP_SECONDS = 0.2

# Clients that wait for the answer to a change when the time is up get it, and end the visit that they are at; what has
# not come by then is an outcome not known.
DRAIN_SECONDS = 20

# Until the plan is written, which is when the data of the cell is there.
SEEDING_SECONDS = 600.0


def main(argv: list[str]) -> int:
    plan_path, result_path, samples_path = (Path(argument) for argument in argv)
    _await(plan_path)
    os.environ[PLAN_VARIABLE] = str(plan_path)
    plan = LoadPlan.load(plan_path)
    logging.getLogger("locust").setLevel(logging.WARNING)
    module = import_module(f"scenarios.{plan.scenario}.locustfile")
    users = [
        member
        for member in vars(module).values()
        if isclass(member) and issubclass(member, locust.User) and not member.abstract
    ]
    environment = Environment(
        user_classes=users, host=plan.host, events=locust.events, catch_exceptions=False, stop_timeout=DRAIN_SECONDS
    )
    recorder = Recorder(plan.keep_every, plan.refusals)
    environment.events.request.add_listener(recorder)  # type: ignore[no-untyped-call]
    dropped.add_listener(recorder.on_dropped)  # type: ignore[no-untyped-call]
    runner = environment.create_local_runner()
    try:
        if plan.shape == "burst" or plan.requests_per_user is not None:
            _by_count(runner, recorder, plan)
        else:
            _by_time(runner, recorder, plan)
    finally:
        runner.quit()
    write_samples(samples_path, recorder.samples())
    recorder.result(attempts).save(result_path)
    return 0


def _await(plan: Path) -> None:
    """Returns when the plan is there; ends the process if whoever would write it has ended."""
    harness = os.getppid()
    deadline = time.monotonic() + SEEDING_SECONDS
    while not plan.exists():
        if os.getppid() != harness or time.monotonic() > deadline:
            sys.exit("no plan was written")
        time.sleep(0.02)


def _by_time(runner: locust.runners.Runner, recorder: Recorder, plan: LoadPlan) -> None:
    """All users start at once, warm up, and are measured for the plan's seconds.

    An open load goes on until what was due is answered, so that all of it is answered under the same load; but no
    longer than for one more turn of every client.
    """
    _start(runner, plan)
    surge = plan.surge.after(plan.warm_up_seconds) if plan.surge else None
    arrivals = Arrivals(time.perf_counter(), plan.rate, surge) if plan.rate is not None else None
    fire(arrivals)
    gevent.sleep(plan.warm_up_seconds)
    _say("measuring")
    recorder.begin(arrivals)
    gevent.sleep(plan.seconds)
    recorder.end()
    _say("measured")
    gevent.sleep(OVERLAP_SECONDS)
    with gevent.Timeout(TURN_SECONDS, False):
        while recorder.waits():
            gevent.sleep(OVERLAP_SECONDS)
    send_home()
    if not attempts and not recorder.waits():
        # Nobody will ask what became of a page that came behind the window: who waits for one leaves at once.
        runner.environment.stop_timeout = 0


def _by_count(runner: locust.runners.Runner, recorder: Recorder, plan: LoadPlan) -> None:
    """Every user makes its requests and leaves; all of them are measured, until the last one has left."""
    if plan.shape == "burst":
        # All of them stand at the line before the first may go.
        _start(runner, plan)
        _say("measuring")
        recorder.begin()
        fire()
    else:
        _say("measuring")
        recorder.begin()
        _start(runner, plan)
    with gevent.Timeout(plan.seconds, False):
        while runner.user_count > 0:
            gevent.sleep(0.02)
    recorder.end()
    _say("measured")


def _start(runner: locust.runners.Runner, plan: LoadPlan) -> None:
    runner.start(plan.users, spawn_rate=plan.users)
    assert runner.spawning_greenlet is not None, "start spawns the users in a greenlet"
    runner.spawning_greenlet.join()


def _say(word: str) -> None:
    print(word, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
