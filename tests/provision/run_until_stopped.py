"""Starts what it is told to under a supervisor, says so in a file, and waits to be stopped.

``run_until_stopped.py FILE [postgres|redis|kafka|sleeper|stubborn|helper ...]``
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from harness.provision import Component, provision
from harness.supervise import Interrupted, Supervisor, orderly_interrupts

OTHERS = {
    # A program that has a child of its own.
    "sleeper": ["bash", "-c", "sleep 600 & sleep 601; true"],
    "stubborn": ["bash", "-c", "trap '' TERM; while true; do sleep 0.1; done"],
    # Leaves a process behind that no parent leads to, in a session of its own.
    "helper": ["bash", "-c", "(setsid sleep 602 &); exec sleep 603"],
}


def main(file: Path, what: list[str]) -> None:
    with Supervisor("script") as owner:
        logs = owner.scratch / "logs"
        with provision("embedded", owner, log_folder=logs, report=print) as infrastructure:
            infrastructure.ensure(*(Component(name) for name in what if name not in OTHERS))
            for name in what:
                if name in OTHERS:
                    owner.spawn(name, OTHERS[name], log=logs / f"{name}.log", grace_seconds=60)
            said = {
                "pids": {p.name: p.pid for p in owner.processes},
                "scratch": str(owner.scratch),
                "run": owner.run_id,
            }
            temporary = file.with_suffix(".part")
            temporary.write_text(json.dumps(said))
            temporary.replace(file)
            threading.Event().wait()


if __name__ == "__main__":
    # Tests may themselves run under nohup, which the harness would respect here.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with orderly_interrupts():
            main(Path(sys.argv[1]), sys.argv[2:])
    except Interrupted as asked:
        sys.exit(asked.exit_code)
