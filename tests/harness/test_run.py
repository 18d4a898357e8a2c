"""A whole run, and a stage that is up: as a person starts them, as processes of their own."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from harness.launch.ports import OFFSETS
from harness.report.extras import load_extras
from harness.stages.manifest import REPOSITORY
from harness.store.files import load_summary
from harness.store.summary import Summary
from harness.supervise import STATE_VARIABLE, free_port, is_free
from tests import plain

RUN_ALL = [sys.executable, str(REPOSITORY / "run_all.py")]
SECONDS = 3
LOADS = ("closed", "open")

pytestmark = pytest.mark.xdist_group("runs")

Start = Callable[..., "subprocess.Popen[str]"]


@contextmanager
def starting(folder: Path) -> Iterator[Start]:
    """Starts run_all.py with arguments; ends what is left of it. Its state is a folder of its own."""
    environment = {**os.environ, STATE_VARIABLE: str(folder / "state")}
    started: list[subprocess.Popen[str]] = []

    def run(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*RUN_ALL, *arguments],
            env=environment,
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(process)
        return process

    try:
        yield run
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
                process.wait()
        # What a killed run has left is in this state, which no later run would look into.
        subprocess.run(
            [sys.executable, "-c", "from harness.supervise import sweep_leftovers; sweep_leftovers()"],
            env=environment,
            cwd=REPOSITORY,
            check=True,
        )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with starting(tmp_path) as run:
        yield run


def free_base() -> int:
    """A port for ``--port-base``: free, as those of all components are that follow from it."""
    while not all(is_free((base := free_port()) + offset) for offset in OFFSETS.values()):
        pass
    return base


def descendants(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def runs(process: subprocess.Popen[str], argument: str) -> bool:
    """Whether one of its descendants was started with an argument that ends like this."""
    for child in descendants(process):
        with suppress(psutil.NoSuchProcess):
            if any(part.endswith(argument) for part in child.cmdline()):
                return True
    return False


def loads(process: subprocess.Popen[str]) -> bool:
    """Whether its Locust process has been given its plan."""
    for child in descendants(process):
        with suppress(psutil.NoSuchProcess):
            command = child.cmdline()
            if "harness.load.worker" in command:
                return Path(command[command.index("harness.load.worker") + 1]).exists()
    return False


def wait_until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not happen within {seconds} s"
        # To look for a process is to look at all of the machine's.
        time.sleep(0.2)


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=10)
    assert alive == []


SECRETS = ("JWT_SECRET", "IDENTITY_KEY", "PAYMENT_SECRET_KEY", "USER_SELLER_CODE", "USER_MANAGER_CODE")


def secrets_of(process: subprocess.Popen[str]) -> set[str]:
    """The values of the secrets that the processes of a run were given, passwords of servers among them."""
    found = set()
    for child in descendants(process):
        with suppress(psutil.NoSuchProcess):
            for name, value in child.environ().items():
                if name in SECRETS:
                    found.add(value)
                if name.endswith("_DATABASE_URL") or name == "REDIS_URL":
                    found.add(urlsplit(value).password or "")
    return found - {""}


@dataclass(frozen=True)
class Finished:
    """A run that went well."""

    arguments: list[str]
    folder: Path
    said: str
    secrets: set[str]
    """Those that its processes had."""

    @cached_property
    def summary(self) -> Summary:
        return load_summary(self.folder / "summary.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One of three cells, on a stage with a cache, which nobody changes afterwards."""
    folder = tmp_path_factory.mktemp("finished")
    arguments = [
        "smoke", "--stages", "02", "--scenarios", "concert_list", "cancel", "--seconds", f"{SECONDS}",
        "--warm-up", "1", "--instance-cpus", "none", "--provider-median-ms", "100",
        "--reports", str(folder / "reports"),
    ]  # fmt: skip
    with starting(folder) as start:
        process = start(*arguments)
        # Two passwords beside the secrets that have names.
        wait_until(lambda: len(secrets_of(process)) == len(SECRETS) + 2, 40, "the start of the services")
        secrets = secrets_of(process)
        said, _ = process.communicate(timeout=150)
        assert process.returncode == 0, said
    return Finished(arguments, folder / "reports" / "latest", said, secrets)


def test_a_run_leaves_what_it_promises(finished: Finished) -> None:
    summary, folder = finished.summary, finished.folder
    assert summary.audit_ok
    assert summary.audits, "an audit that checked nothing is no audit"
    throughput = {
        (m.stage, m.scenario, m.params.get("load")): m for m in summary.measurements if m.metric == "throughput"
    }
    assert throughput.keys() == {("02_cache", "concert_list", None), *(("02_cache", "cancel", load) for load in LOADS)}
    assert all(m.median > 0 for m in throughput.values())
    assert {cost.component for cost in summary.costs} >= {"gateway", "concert", "postgres", "redis", "locust"}
    assert summary.run.arguments == finished.arguments
    assert [*(folder / "samples").rglob("r1.csv.gz")]
    assert {log.stem for log in (folder / "logs" / "02_cache").iterdir()} >= {"gateway", "user", "concert", "order"}
    html = (folder / "report.html").read_text()
    assert "Concert list" in html
    assert "run_all.py smoke --stages 02" in html


def test_what_the_cache_counted_is_in_the_report(finished: Finished) -> None:
    """By concert-service's own counters, of the measured part; held against what the clients have counted."""
    tables = load_extras(finished.folder / "extras.json").tables
    (table,) = (table for table in tables if (table.title, table.scenario) == ("Cache", "concert_list"))
    (cells,) = table.rows
    row: dict[str, Any] = dict(zip(table.columns, cells, strict=True))
    assert (row["Stage"], row["Answer"]) == ("02_cache", "concert-page")
    (answered,) = (
        m.median for m in finished.summary.measurements if (m.scenario, m.metric) == ("concert_list", "throughput")
    )
    # A busy service tells its counters late, at the beginning by a second or two; and in the end after the last answer.
    assert 0.5 * answered <= row["Asked"] <= 3 * SECONDS * answered
    assert 0 < row["Hits (%)"] <= 100
    assert 0 <= row["Loads"] < row["Asked"]
    assert row["Hits (%)"] + row["Shared (%)"] + 100 * row["Loads"] / row["Asked"] == pytest.approx(100, abs=1)
    assert (row["Mean load (ms)"] is not None) == (row["Loads"] > 0)
    assert row["Evicted keys"] == 0
    html = (finished.folder / "report.html").read_text()
    shown = re.search(r"<tr>(?:(?!</tr>).)*concert-page(?:(?!</tr>).)*</tr>", html, re.DOTALL)
    assert shown is not None
    for figure in (row["Hits (%)"], row["Loads"], row["Asked"]):
        assert f">{figure:,g}<" in shown[0]


def test_no_secret_is_written_anywhere(finished: Finished) -> None:
    """No secret of the run, and no token of its load, is in a log, a sample, the report, or on the screen."""
    written = {file: file.read_bytes() for file in finished.folder.rglob("*") if file.is_file()}
    assert written
    for file, content in {**written, Path("the screen"): finished.said.encode()}.items():
        text = gzip.decompress(content) if file.suffix == ".gz" else content
        for secret in (*finished.secrets, "eyJhbGci"):
            assert secret.encode() not in text, f"a secret is in {file}"


def test_a_fixed_rate_is_half_of_what_the_closed_loop_did(finished: Finished) -> None:
    """And what the payment provider is made to be is told, and a given rate is kept."""
    summary = finished.summary
    figures = {(m.params["load"], m.metric): m for m in summary.measurements if m.scenario == "cancel"}
    rate = figures["open", "mean_ms"].params["rate"]
    assert rate == pytest.approx(figures["closed", "throughput"].median / 2, rel=0.01)
    assert figures["open", "throughput"].median == pytest.approx(rate, rel=0.2)
    assert {figures["open", name].median >= 0 for name in ("late", "dropped")} == {True}
    assert summary.run.settings["payment: latency, median ms"] == 100
    html = (finished.folder / "report.html").read_text()
    assert "median 100 ms" in html
    assert "Fixed arrival rate" in html


def test_every_process_is_sampled(finished: Finished) -> None:
    (sampled,) = (finished.folder / "samples" / "02_cache").glob("cancel-load=open*/r1.processes.csv.gz")
    header, *lines = gzip.decompress(sampled.read_bytes()).decode().splitlines()
    assert header == "at_s,process,cpu_s,memory_mib"
    held = {line.split(",")[1]: float(line.split(",")[3]) for line in lines}
    assert held.keys() == {"gateway", "user", "concert", "order", "payment", "postgres", "redis", "locust"}
    assert all(1 < mib < 1_000 for mib in held.values()), held


def test_what_was_measured_before_a_failure_is_reported(start: Start, tmp_path: Path) -> None:
    """The second cell is broken off; the first one is not lost, the report says so, and nothing is left of the run."""
    reports = tmp_path / "reports"
    process = start(
        "smoke", "--stages", "01", "--scenarios", "concert_list", "--repeats", "2", "--seconds", "1",
        "--warm-up", "0.5", "--instance-cpus", "none", "--reports", str(reports),
    )  # fmt: skip
    wait_until(lambda: runs(process, "r2.csv.gz") and loads(process), 100, "the load of the second cell")
    children = descendants(process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=40)
    assert process.returncode == 128 + signal.SIGINT, said
    assert "Traceback" not in said
    assert_gone(children)
    assert not [*(tmp_path / "state").rglob("*.json")], "there are records of its processes"
    summary = load_summary(reports / "latest" / "summary.json")
    assert [m.n for m in summary.measurements if m.metric == "throughput"] == [1]
    assert any("broken off" in caveat for caveat in summary.run.caveats)


def test_an_instance_is_added_to_a_run_and_another_is_stopped(start: Start, tmp_path: Path) -> None:
    """No request fails of it, and the report marks both."""
    reports = tmp_path / "reports"
    process = start(
        "smoke", "--stages", "04", "--replicas", "order=2,concert=1", "--scenarios", "seat_lookup", "--seconds", "6",
        "--warm-up", "0.5", "--instance-cpus", "none", "--fault", "add:order@1s", "--fault", "stop:order#2@3s",
        "--reports", str(reports),
    )  # fmt: skip
    said, _ = process.communicate(timeout=150)
    assert process.returncode == 0, said
    figures = {m.metric: m for m in load_summary(reports / "latest" / "summary.json").measurements}
    assert figures["failures"].median == 0
    assert figures["answered_well"].params["fault"] == "add:order@1s stop:order#2@3s"
    (sampled,) = (reports / "latest" / "samples" / "04_scaleout").glob("seat_lookup-*/r1.processes.csv.gz")
    held: dict[str, list[tuple[float, float]]] = {}
    for line in gzip.decompress(sampled.read_bytes()).decode().splitlines()[1:]:
        at, name, _, mib = line.split(",")
        held.setdefault(name, []).append((float(at), float(mib)))
    assert 0.5 < held["order#3"][0][0] < 3
    assert [mib > 0 for _, mib in (held["order#2"][0], held["order#2"][-1])] == [True, False]
    html = (reports / "latest" / "report.html").read_text()
    assert "add:order@1s" in html
    assert "stop:order#2@3s" in html


def test_up_serves_and_stops(start: Start, tmp_path: Path) -> None:
    base = free_base()
    described = tmp_path / "stage.json"
    plan = tmp_path / "plan.json"
    process = start(
        "up", "01", "--port-base", str(base), "--json", str(described), "--load-plan", f"concert_list={plan}"
    )
    wait_until(
        lambda: (plan.exists() and plan.stat().st_size > 0) or process.poll() is not None, 60, "the start of the stage"
    )
    assert process.poll() is None, process.communicate()[0]
    description = json.loads(described.read_text())
    assert description["gateway"] == f"http://127.0.0.1:{base}"
    for secret in (described, plan):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    for role, account in description["accounts"].items():
        answer = plain.get(
            f"{description['gateway']}/user-service/users", headers={"Authorization": f"Bearer {account['token']}"}
        )
        assert answer.json()["data"]["email"].startswith(role)
        login = plain.post(
            f"{description['gateway']}/user-service/auth/login",
            json={"email": account["email"], "password": account["password"]},
        )
        assert login.json()["code"] == 0
    children = descendants(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert_gone(children)
    with pytest.raises(httpx.ConnectError):
        plain.get(f"http://127.0.0.1:{base}/health/live")
