"""Processes are started, written down, and ended with all that they started themselves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness.errors import HarnessError
from harness.stages.manifest import REPOSITORY
from harness.supervise import ManagedProcess, ProcessIdentity, Supervisor, free_port, is_free, sweep_leftovers
from tests.provision.waiting import until

SLEEP = ["sleep", "600"]


def _children(process: ManagedProcess, number: int) -> list[psutil.Process]:
    parent = psutil.Process(process.pid)
    assert until(lambda: len(parent.children(recursive=True)) >= number)
    return parent.children(recursive=True)


def _gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def test_what_is_started_is_written_down(supervisor: Supervisor, state: Path) -> None:
    first = supervisor.spawn("first", SLEEP, log=supervisor.scratch / "first.log")
    second = supervisor.spawn("second", SLEEP, log=supervisor.scratch / "second.log", end_signal=signal.SIGINT)
    supervisor.own_directory(supervisor.scratch.with_name("elsewhere"))
    record = json.loads((state / f"{supervisor.run_id}.json").read_text())
    owner = ProcessIdentity.of(os.getpid())
    assert owner is not None
    assert record["owner"] == {"pid": owner.pid, "start": owner.start}
    assert record["scratch"] == str(supervisor.scratch)
    assert record["directories"] == [str(supervisor.scratch.with_name("elsewhere"))]
    assert [(child["name"], child["identity"]["pid"], child["stop_signal"]) for child in record["children"]] == [
        ("first", first.pid, signal.SIGTERM),
        ("second", second.pid, signal.SIGINT),
    ]
    supervisor.release(first)
    record = json.loads((state / f"{supervisor.run_id}.json").read_text())
    assert [child["name"] for child in record["children"]] == ["second"]


def test_everything_ends_with_the_run_in_reverse_order(tmp_path: Path, state: Path) -> None:
    order = tmp_path / "order.txt"
    with Supervisor("test") as owner:
        script = "trap 'echo $0 >> \"$1\"; exit 0' TERM; echo up; while true; do sleep 0.05; done"
        processes = [
            owner.spawn(name, ["bash", "-c", script, name, order], log=tmp_path / f"{name}.log") for name in "abc"
        ]
        assert until(lambda: all(process.tail() == ["up"] for process in processes))
        cgroup = tmp_path / "cgroup"
        owner.own_cgroup(cgroup)
        (cgroup / "service" / "replica").mkdir(parents=True)
        owner.own_directory(tmp_path / "extra")
        (tmp_path / "extra" / "deep").mkdir(parents=True)
    assert order.read_text().split() == ["c", "b", "a"]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert not owner.scratch.exists()
    assert not cgroup.exists()
    assert not (tmp_path / "extra").exists()
    assert not list(state.glob("*.json"))
    assert owner.warnings == []
    owner.stop_all()


def test_a_parent_that_starts_children_all_the_time_is_killed_with_the_last_of_them(supervisor: Supervisor) -> None:
    """As PostgreSQL does when one of its own is killed; these carry no mark either."""
    patience = f"60{os.getpid()}"
    program = (
        "import subprocess, time\n"
        f"for _ in range(400): subprocess.Popen(['sleep', '{patience}'], env={{}}); time.sleep(0.002)\n"
        "time.sleep(600)"
    )
    process = supervisor.spawn("parent", [sys.executable, "-c", program], log=supervisor.scratch / "parent.log")
    _children(process, 20)
    process.kill()
    left = [found for found in psutil.process_iter(["cmdline"]) if found.info["cmdline"] == ["sleep", patience]]
    assert not [found for found in left if not _gone(found)]


def test_a_failure_ends_everything_too(tmp_path: Path) -> None:
    owner = Supervisor("test")
    process = owner.spawn("sleeper", SLEEP, log=tmp_path / "log")
    with pytest.raises(ZeroDivisionError), owner:
        raise ZeroDivisionError
    assert process.returncode == -signal.SIGTERM
    assert not owner.scratch.exists()


def test_who_does_not_listen_is_killed(supervisor: Supervisor) -> None:
    script = "trap '' TERM; echo up; while true; do sleep 0.05; done"
    process = supervisor.spawn("stubborn", ["bash", "-c", script], log=supervisor.scratch / "log")
    assert until(lambda: process.tail() == ["up"])
    process.terminate(grace=0.2)
    assert process.returncode == -signal.SIGKILL


def test_what_is_thrown_away_is_ended_by_another_signal_than_what_is_started_again(supervisor: Supervisor) -> None:
    process = supervisor.spawn(
        "server", SLEEP, log=supervisor.scratch / "log", stop_signal=signal.SIGUSR2, end_signal=signal.SIGUSR1
    )
    process.terminate()
    assert process.returncode == -signal.SIGUSR2
    process.respawn()
    supervisor.release(process)
    assert process.returncode == -signal.SIGUSR1


def test_children_and_detached_grandchildren_end_with_it(supervisor: Supervisor) -> None:
    script = "(setsid sleep 611 &); sleep 612 & exec sleep 613"
    process = supervisor.spawn("parent", ["bash", "-c", script], log=supervisor.scratch / "log")
    children = _children(process, 1)
    stray = _find("sleep", "611")
    process.terminate()
    assert not process.alive()
    assert all(_gone(child) for child in children)
    assert _gone(stray)


def _find(*command: str) -> psutil.Process:
    def search() -> list[psutil.Process]:
        return [found for found in psutil.process_iter(["cmdline"]) if found.info["cmdline"] == list(command)]

    assert until(lambda: bool(search()))
    return search()[0]


def test_killed_and_started_again(supervisor: Supervisor) -> None:
    process = supervisor.spawn("worker", ["bash", "-c", "echo up; exec sleep 600"], log=supervisor.scratch / "log")
    assert until(lambda: process.tail() == ["up"])
    first = process.pid
    with pytest.raises(HarnessError, match="still runs"):
        process.respawn()
    process.kill()
    assert process.returncode == -signal.SIGKILL
    process.log.write_text("of the first\n")
    process.respawn()
    assert process.pid != first
    assert until(lambda: process.tail() == ["up"])
    assert supervisor.processes == (process,)


def test_paused_resumed_and_stopped_while_paused(supervisor: Supervisor) -> None:
    process = supervisor.spawn("parent", ["bash", "-c", "sleep 621 & sleep 622; true"], log=supervisor.scratch / "log")
    tree = [psutil.Process(process.pid), *_children(process, 2)]
    process.pause()
    assert until(lambda: all(found.status() == psutil.STATUS_STOPPED for found in tree))
    process.resume()
    assert until(lambda: all(found.status() == psutil.STATUS_SLEEPING for found in tree))
    process.pause()
    process.terminate(grace=5)
    # By the stop signal, not by force: it was woken up to hear it.
    assert process.returncode == -signal.SIGTERM
    assert all(_gone(found) for found in tree)
    with pytest.raises(HarnessError, match="has ended"):
        process.pause()


def test_run_to_the_end(supervisor: Supervisor) -> None:
    log = supervisor.scratch / "log"
    assert supervisor.run("failing", ["bash", "-c", "echo no; exit 3"], log=log, timeout=10).returncode == 3
    assert log.read_text() == "no\n"
    with pytest.raises(HarnessError, match=r"slow did not finish within 0 s"):
        supervisor.run("slow", SLEEP, log=log, timeout=0.2)
    assert supervisor.processes == ()


def test_a_missing_program_is_named(supervisor: Supervisor) -> None:
    with pytest.raises(HarnessError, match=r"tool cannot be started: No such file or directory: .*/nowhere/tool"):
        supervisor.spawn("tool", ["/nowhere/tool"], log=supervisor.scratch / "log")


def test_nothing_is_started_after_the_end(tmp_path: Path) -> None:
    with Supervisor("test") as owner:
        pass
    with pytest.raises(HarnessError, match="being stopped"):
        owner.spawn("late", SLEEP, log=tmp_path / "log")


def test_one_that_cannot_be_ended_does_not_save_the_others(
    tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = Supervisor("test")
    first = owner.spawn("first", SLEEP, log=tmp_path / "log")
    second = owner.spawn("second", SLEEP, log=tmp_path / "log")

    def refuse() -> None:
        raise HarnessError("second does not end")

    monkeypatch.setattr(second, "end", refuse)
    owner.stop_all()
    assert owner.warnings == ["second does not end"]
    assert first.returncode == -signal.SIGTERM
    # By its mark.
    assert until(lambda: not second.alive())
    assert list(state.glob("*.json"))


def test_a_fork_of_the_owner_stops_nothing(supervisor: Supervisor) -> None:
    process = supervisor.spawn("sleeper", SLEEP, log=supervisor.scratch / "log")
    pid = os.fork()
    if pid == 0:
        supervisor.stop_all()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert process.alive()
    assert supervisor.scratch.exists()


def test_a_folder_in_use_is_no_scratch_folder(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(HarnessError, match="cannot be the scratch folder"):
        Supervisor("test", scratch=tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_living_run_is_left_alone(supervisor: Supervisor) -> None:
    process = supervisor.spawn("sleeper", SLEEP, log=supervisor.scratch / "log")
    assert sweep_leftovers() == []
    assert process.alive()
    assert supervisor.scratch.exists()


def test_ports_are_free_and_handed_out_once() -> None:
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == 200
    assert all(is_free(port) for port in ports)
    ephemeral = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if sys.platform == "linux" and ephemeral.exists():
        assert max(ports) < int(ephemeral.read_text().split()[0])


def test_a_port_is_handed_out_to_one_process_only() -> None:
    """Though nobody listens there yet: runs go side by side, and a server may take its time to start."""
    port = free_port()
    ask = f"from harness.supervise import ports; print(ports._reserve({port}), ports.is_free({port}))"
    answer = subprocess.run([sys.executable, "-c", ask], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "True"]
