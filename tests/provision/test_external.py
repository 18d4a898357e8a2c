"""Servers of somebody else: used, never started or stopped, and clearly named when they are not there."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from harness.errors import HarnessError
from harness.provision import Component, Infrastructure, create_database, drop_database, provision
from harness.supervise import Supervisor, free_port

VARIABLES = {
    Component.POSTGRES: "FORTICKETS_POSTGRES_URL",
    Component.REDIS: "FORTICKETS_REDIS_URL",
    Component.KAFKA: "FORTICKETS_KAFKA_BOOTSTRAP",
}


@pytest.fixture
def external(supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Infrastructure:
    for variable in VARIABLES.values():
        monkeypatch.delenv(variable, raising=False)
    return provision("external", supervisor, log_folder=tmp_path, report=print)


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _url(component: Component, port: int) -> str:
    return {
        Component.POSTGRES: f"postgresql://someone:top-secret@127.0.0.1:{port}/postgres",
        Component.REDIS: f"redis://:top-secret@127.0.0.1:{port}/0",
        Component.KAFKA: f"127.0.0.1:{port}",
    }[component]


def test_urls_from_the_environment_are_used_and_nothing_is_stopped(
    servers: Infrastructure, external: Infrastructure, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for server in servers.servers:
        monkeypatch.setenv(VARIABLES[server.component], server.url)
    with external:
        external.ensure(*Component)
        assert [server.url for server in external.servers] == [server.url for server in servers.servers]
        assert [server.process for server in external.servers] == [None] * 3
        assert external.server(Component.POSTGRES).version.startswith("PostgreSQL 18")
        assert external.server(Component.POSTGRES).settings["fsync"] == "on"
        assert external.server(Component.REDIS).version.startswith("Valkey")
        assert external.server(Component.KAFKA).version.startswith("Apache Kafka")
        url = create_database(external, "from_outside")
        psycopg.connect(url).close()
        drop_database(external, "from_outside")
        with pytest.raises(HarnessError, match="postgres is not restarted: it is an external server"):
            external.restart(Component.POSTGRES)
    assert supervisor.processes == ()
    for server in servers.servers:
        assert server.process is not None
        assert server.process.alive()


def test_a_user_that_may_not_create_databases_is_told_so(
    servers: Infrastructure, external: Infrastructure, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(servers.postgres_url, autocommit=True) as connection:
        connection.execute("create role reader login password 'weak'")
    address = servers.server(Component.POSTGRES).address
    monkeypatch.setenv("FORTICKETS_POSTGRES_URL", f"postgresql://reader:weak@{address}/postgres")
    with pytest.raises(HarnessError, match="may not create databases") as caught:
        external.ensure(Component.POSTGRES)
    assert "FORTICKETS_POSTGRES_URL" in caught.value.message
    assert caught.value.hint == "Let it: ALTER ROLE reader CREATEDB."


@pytest.mark.parametrize("component", list(Component))
def test_a_missing_variable_is_named(external: Infrastructure, component: Component) -> None:
    with pytest.raises(HarnessError, match=f"{VARIABLES[component]} is not set") as caught:
        external.ensure(component)
    assert f"{VARIABLES[component]}=" in caught.value.hint


@pytest.mark.parametrize("component", list(Component))
@pytest.mark.parametrize("how", ["closed", "silent"])
def test_an_unreachable_server_is_named_in_time_and_without_its_password(
    external: Infrastructure, component: Component, how: str, silent: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = silent if how == "silent" else free_port()
    monkeypatch.setenv(VARIABLES[component], _url(component, port))
    started = time.monotonic()
    with pytest.raises(HarnessError) as caught:
        external.ensure(component)
    assert time.monotonic() - started < 5
    assert f"127.0.0.1:{port}" in caught.value.message
    assert VARIABLES[component] in caught.value.message
    assert "\n" not in caught.value.message
    assert "top-secret" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("component", "value"),
    [
        (Component.POSTGRES, "mysql://someone:top-secret@host/db"),
        (Component.POSTGRES, "host=db password=top-secret"),
        (Component.POSTGRES, "postgresql://someone:top-secret@host:port/db"),
        (Component.REDIS, "127.0.0.1:6379"),
        (Component.REDIS, "redis://"),
        (Component.KAFKA, "no-port"),
        (Component.KAFKA, "host:ninety"),
    ],
)
def test_a_malformed_value_is_named(
    external: Infrastructure, component: Component, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLES[component], value)
    with pytest.raises(HarnessError, match=VARIABLES[component]) as caught:
        external.ensure(component)
    assert "top-secret" not in caught.value.message + caught.value.hint
