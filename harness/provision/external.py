"""The external provider: servers that somebody else runs, named by the environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import psycopg
import redis

from harness.errors import HarnessError
from harness.provision import kafka_client, postgres, valkey
from harness.provision.model import Component, Infrastructure, Server

_CONNECT_SECONDS = 3


@dataclass(frozen=True)
class _Source:
    variable: str
    example: str
    ask: Callable[[str], Server]


class ExternalInfrastructure(Infrastructure):
    """Nothing is started and nothing is stopped; each server is asked once whether it is there."""

    provider = "external"

    def ensure(self, *components: Component) -> None:
        for component in dict.fromkeys(components):
            if component not in self._servers:
                source = _SOURCES[component]
                self._servers[component] = source.ask(_from_environment(component, source))

    def restart(self, component: Component) -> Server:
        raise HarnessError(
            f"{component.value} is not restarted: it is an external server, which this run does not own.",
            "Use --provider embedded for faults in servers.",
        )


def _from_environment(component: Component, source: _Source) -> str:
    value = os.environ.get(source.variable, "").strip()
    if not value:
        raise HarnessError(
            f"{component.value} is needed from outside, but {source.variable} is not set.",
            f"Set it, as in {source.variable}={source.example}, or use --provider embedded.",
        )
    return value


def _address(url: str, variable: str, schemes: tuple[str, ...], default_port: int) -> str:
    """``host:port`` of a URL, without the password that it may hold."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default_port
    except ValueError:
        parts, host, port = None, None, 0
    if parts is None or parts.scheme not in schemes or not host:
        raise HarnessError(
            f"{variable} is not a URL of the form {schemes[0]}://host:port.", f"As in {_example(variable)}."
        )
    return f"{host}:{port}"


def _example(variable: str) -> str:
    return next(source.example for source in _SOURCES.values() if source.variable == variable)


def _unreachable(variable: str, address: str, error: BaseException) -> HarnessError:
    return HarnessError(
        f"The server at {address}, named by {variable}, does not answer: {_reason(error)}.",
        "Is it running, and are host, port, user and password right?",
    )


def _reason(error: BaseException) -> str:
    # The first line; psycopg adds a hint of several. None of the three clients puts the password into it.
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


def _ask_postgres(url: str) -> Server:
    variable = _SOURCES[Component.POSTGRES].variable
    address = _address(url, variable, ("postgresql", "postgres"), 5432)
    try:
        with psycopg.connect(url, connect_timeout=_CONNECT_SECONDS) as connection:
            row = connection.execute(
                "select rolcreatedb or rolsuper, rolname, current_setting('fsync'), "
                "current_setting('synchronous_commit'), current_setting('full_page_writes'), "
                "current_setting('max_connections'), current_setting('shared_buffers') "
                "from pg_roles where rolname = current_user"
            ).fetchone()
        version = postgres.ask_version(url, _CONNECT_SECONDS)
    except psycopg.Error as error:
        raise _unreachable(variable, address, error) from error
    assert row is not None, "the current user is a role"
    if not row[0]:
        raise HarnessError(
            f"The user {row[1]} of the server at {address}, named by {variable}, may not create databases.",
            f"Let it: ALTER ROLE {row[1]} CREATEDB.",
        )
    names = ("fsync", "synchronous_commit", "full_page_writes", "max_connections", "shared_buffers")
    return Server(Component.POSTGRES, url, address, version, None, dict(zip(names, row[2:], strict=True)))


def _ask_redis(url: str) -> Server:
    variable = _SOURCES[Component.REDIS].variable
    address = _address(url, variable, ("redis", "rediss"), 6379)
    try:
        version = valkey.ask_version(url, _CONNECT_SECONDS)
    except (redis.RedisError, OSError) as error:
        raise _unreachable(variable, address, error) from error
    return Server(Component.REDIS, url, address, version, None, {})


def _ask_kafka(bootstrap: str) -> Server:
    variable = _SOURCES[Component.KAFKA].variable
    try:
        cluster = kafka_client.describe_cluster(bootstrap, _CONNECT_SECONDS)
    except kafka_client.NotReadyError as error:
        raise _unreachable(variable, bootstrap, error) from error
    # The protocol has no question for the version.
    version = f"Apache Kafka, cluster {cluster.cluster_id}"
    return Server(Component.KAFKA, bootstrap, bootstrap, version, None, {"brokers": str(cluster.brokers)})


_SOURCES = {
    Component.POSTGRES: _Source(
        "FORTICKETS_POSTGRES_URL", "postgresql://user:password@host:5432/postgres", _ask_postgres
    ),
    Component.REDIS: _Source("FORTICKETS_REDIS_URL", "redis://host:6379/0", _ask_redis),
    Component.KAFKA: _Source("FORTICKETS_KAFKA_BOOTSTRAP", "host:9092", _ask_kafka),
}
