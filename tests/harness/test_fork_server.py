"""What is forked for the tests is, to whoever started it, what ``python -m`` would have been."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from harness.stages.manifest import REPOSITORY, STAGES_ROOT, find_stage
from harness.supervise import ManagedProcess, Supervisor, free_port
from tests.fork_server import PROGRAMS, ForkServer
from tests.polling import until

STAGE = find_stage("01")


@pytest.fixture
def own(supervisor: Supervisor) -> Iterator[dict[str, Supervisor]]:
    """The tests' own supervisor, which forks, and one that starts each program anew, as ``run_all.py`` does."""
    with Supervisor("test") as executing:
        yield {"forked": supervisor, "executed": executing}


def _start(
    owner: Supervisor, log: Path, module: str, *arguments: str, environment: Mapping[str, str] | None = None
) -> ManagedProcess:
    path = os.pathsep.join([str(STAGE.folder), str(REPOSITORY)])
    told = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **(environment or {})}
    return owner.spawn(
        log.stem, [sys.executable, "-m", module, *arguments], env=told, cwd=STAGES_ROOT, log=log, grace_seconds=10.0
    )


ENDINGS = {
    "common.migrations": 0,
    "common.migrations user": 2,
    "common.serve gateway": 2,
    "common.serve": 2,
    "common.serve nowhere": 1,
}


@pytest.mark.parametrize(("command", "code"), ENDINGS.items(), ids=ENDINGS)
def test_it_ends_and_says_the_same(own: dict[str, Supervisor], tmp_path: Path, command: str, code: int) -> None:
    said = {}
    for how, owner in own.items():
        process = _start(owner, tmp_path / f"{how}.log", *command.split())
        assert process.wait(30) == code
        # The last: a traceback has the way to the program, which differs.
        said[how] = process.tail(1) if code == 1 else process.tail()
        owner.release(process)
    assert said["forked"] == said["executed"]


def test_it_is_stopped_killed_paused_and_started_again(supervisor: Supervisor, tmp_path: Path) -> None:
    environment = {
        "PAYMENT_PORT": str(port := free_port()),
        "PAYMENT_SECRET_KEY": "test_sk_0123456789abcdef0123456789abcdef",
        "PAYMENT_LEDGER": str(tmp_path / "ledger.sqlite3"),
        "PAYMENT_SEED": "1",
    }

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1) as answer:
                return answer.status == 200  # type: ignore[no-any-return]
        except OSError:
            return False

    process = _start(supervisor, tmp_path / "payment.log", "common.serve", "payment_simulator", environment=environment)
    first = process.pid
    assert until(answers), process.tail()
    shown = psutil.Process(first)
    assert os.getsid(first) == first
    assert shown.cwd() == str(STAGES_ROOT)
    process.pause()
    assert until(lambda: shown.status() == psutil.STATUS_STOPPED)
    process.resume()
    assert until(answers)
    process.kill()
    assert process.returncode == -signal.SIGKILL
    process.respawn()
    assert process.pid != first
    assert until(answers), process.tail()
    supervisor.release(process)
    assert process.returncode == 0
    assert not answers()


def test_only_stages_are_forked(tmp_path: Path) -> None:
    with ForkServer() as forks, Supervisor("test", start=forks.start) as owner:
        server = psutil.Process(_start(owner, tmp_path / "a.log", PROGRAMS[0], "payment_simulator").pid).parent()
        assert server is not None
        assert server.cmdline()[1:3] == ["-m", ForkServer.__module__]
        other = _start(owner, tmp_path / "b.log", "json.tool", "--help")
        assert other.wait(10) == 0
        assert "usage" in other.log.read_text()
    assert not server.is_running()
