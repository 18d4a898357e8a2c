"""Whatever ends a run, nothing of it stays: a signal, two signals, kill -9; and nothing else is hurt."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.supervise import sweep_leftovers
from harness.supervise.marks import marked
from tests.provision.waiting import ROOT, Child, until

StartChild = Callable[..., Child]


@pytest.fixture
def start_child(tmp_path: Path) -> Iterator[StartChild]:
    children: list[Child] = []

    def start(*what: str) -> Child:
        folder = tmp_path / f"child-{len(children)}"
        folder.mkdir()
        children.append(Child(folder, *what))
        return children[-1]

    yield start
    for child in children:
        child.end()
    # What a broken clean-up left: by this test's own records.
    sweep_leftovers()


@pytest.fixture
def bystander() -> Iterator[psutil.Process]:
    """A stranger's process that bears the name of one of ours."""
    stranger = subprocess.Popen(["bash", "-c", "exec -a postgres sleep 600"])
    try:
        yield psutil.Process(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def _trees(child: Child) -> list[psutil.Process]:
    """Everything that the child has started, PostgreSQL's backends and all."""
    roots = [psutil.Process(pid) for pid in child.said()["pids"].values()]
    return [*roots, *(found for root in roots for found in root.children(recursive=True))]


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _shared_memory(trees: list[psutil.Process]) -> list[str]:
    """The System V segments that they have made; PostgreSQL makes one, and the kernel keeps it if nobody removes it."""
    table = Path("/proc/sysvipc/shm")
    pids = {str(found.pid) for found in trees}
    return [line for line in table.read_text().splitlines() if line.split()[4] in pids] if table.exists() else []


def _nothing_left(trees: list[psutil.Process], child: Child, state: Path) -> bool:
    ended = all(_ended(found) for found in trees) and not marked(f"{child.said()['run']}:")
    stored = Path(child.said()["scratch"]).exists() or _shared_memory(trees)
    return ended and not stored and not list(state.glob("*.json"))


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (signal.SIGINT, ("postgres", "redis", "kafka", "helper")),
        (signal.SIGTERM, ("postgres", "redis")),
        (signal.SIGHUP, ("redis", "sleeper")),
    ],
    ids=["SIGINT", "SIGTERM", "SIGHUP"],
)
def test_a_signal_ends_the_run_in_order(
    start_child: StartChild, state: Path, number: signal.Signals, what: tuple[str, ...]
) -> None:
    child = start_child(*what)
    trees = _trees(child)
    assert len(trees) >= len(what)
    child.process.send_signal(number)
    assert child.process.wait(60) == 128 + number
    assert _nothing_left(trees, child, state)


def test_a_signal_while_servers_start(start_child: StartChild, state: Path) -> None:
    child = start_child("postgres", "redis")

    def starting() -> bool:
        return any(json.loads(path.read_text())["children"] for path in state.glob("*.json"))

    assert until(starting)
    record = json.loads(next(state.glob("*.json")).read_text())
    child.process.send_signal(signal.SIGINT)
    assert child.process.wait(60) == 128 + signal.SIGINT, child.output.read_text()
    assert not list(state.glob("*.json"))
    assert not Path(record["scratch"]).exists()
    assert not [found for found in psutil.process_iter(["cmdline"]) if record["scratch"] in str(found.info["cmdline"])]


def test_a_second_ctrl_c_hurries_the_clean_up_and_does_not_break_it_off(start_child: StartChild, state: Path) -> None:
    child = start_child("postgres", "stubborn")
    trees = _trees(child)
    child.process.send_signal(signal.SIGINT)
    # The stubborn one has a minute to heed its SIGTERM; PostgreSQL comes after it.
    with pytest.raises(subprocess.TimeoutExpired):
        child.process.wait(0.5)
    child.process.send_signal(signal.SIGINT)
    assert child.process.wait(10) == 128 + signal.SIGINT
    assert "Asked again: the rest is ended at once." in child.output.read_text()
    assert _nothing_left(trees, child, state)


def test_after_a_kill_the_next_run_ends_exactly_what_was_left(
    start_child: StartChild, state: Path, bystander: psutil.Process
) -> None:
    child, other = start_child("postgres", "redis", "sleeper", "helper"), start_child("sleeper")
    trees, others = _trees(child), _trees(other)
    paused = psutil.Process(child.said()["pids"]["valkey"])
    paused.suspend()
    child.process.kill()
    child.process.wait()
    assert not any(_ended(found) for found in trees)

    sentences = sweep_leftovers()

    assert len(sentences) == 1
    assert f"(script, process {child.process.pid}): ended " in sentences[0]
    assert all(name in sentences[0] for name in ("postgres", "valkey", "sleeper", "helper"))
    assert until(lambda: all(_ended(found) for found in trees))
    assert not Path(child.said()["scratch"]).exists()
    assert not _shared_memory(trees)
    assert not marked(f"{child.said()['run']}:")
    assert bystander.is_running()
    assert not any(_ended(found) for found in others)
    assert Path(other.said()["scratch"]).exists()
    assert len(list(state.glob("*.json"))) == 1
    assert sweep_leftovers() == []


def test_a_pid_that_belongs_to_somebody_else_by_now_is_left_alone(
    start_child: StartChild, state: Path, bystander: psutil.Process
) -> None:
    child = start_child("sleeper")
    trees = _trees(child)
    child.process.kill()
    child.process.wait()
    path = next(state.glob("*.json"))
    record = json.loads(path.read_text())
    record["children"].append({"name": "x", "identity": {"pid": bystander.pid, "start": "1"}, "stop_signal": 15})
    path.write_text(json.dumps(record))
    assert len(sweep_leftovers()) == 1
    assert until(lambda: all(_ended(found) for found in trees))
    assert bystander.is_running()


def test_records_of_another_machine_stay_and_broken_ones_go(start_child: StartChild, state: Path) -> None:
    child = start_child("sleeper")
    trees = _trees(child)
    child.process.kill()
    child.process.wait()
    path = next(state.glob("*.json"))
    record = json.loads(path.read_text())
    foreign = {**record, "machine": {**record["machine"], "host": "elsewhere"}}
    container = {**record, "machine": {**record["machine"], "pid_namespace": "pid:[1]"}}
    for machine in (foreign, container):
        path.write_text(json.dumps(machine))
        assert sweep_leftovers() == []
        assert not any(_ended(found) for found in trees)
    # After a restart of the machine, every pid is somebody else's, and only files are left.
    path.write_text(json.dumps({**record, "machine": {**record["machine"], "boot": "before"}}))
    assert "no process was left" in sweep_leftovers()[0]
    assert not Path(record["scratch"]).exists()
    assert not any(_ended(found) for found in trees)
    (state / "torn.json").write_text('{"run_id": ')
    assert sweep_leftovers() == ["Removed an unreadable run record, torn.json."]
    path.write_text(json.dumps(record))
    assert len(sweep_leftovers()) == 1
    assert until(lambda: all(_ended(found) for found in trees))


def test_sweeps_at_the_same_time_agree(start_child: StartChild, state: Path) -> None:
    dead, living = [start_child("sleeper", "helper") for _ in range(2)], start_child("sleeper")
    trees, others = [found for child in dead for found in _trees(child)], _trees(living)
    for child in dead:
        child.process.kill()
        child.process.wait()
    code = "from harness.supervise import sweep_leftovers; print(len(sweep_leftovers()))"
    sweeps = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    counts = [int(sweep.communicate(timeout=30)[0]) for sweep in sweeps]
    assert sum(counts) == 2
    assert [sweep.returncode for sweep in sweeps] == [0] * 4
    assert until(lambda: all(_ended(found) for found in trees))
    assert not any(_ended(found) for found in others)
    living.process.send_signal(signal.SIGTERM)
    started = time.monotonic()
    assert living.process.wait(60) == 128 + signal.SIGTERM
    assert time.monotonic() - started < 10
