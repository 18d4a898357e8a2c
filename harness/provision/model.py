"""What provisioning hands out: servers as URLs, whoever runs them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Self

from harness.supervise import ManagedProcess


class Component(StrEnum):
    """A kind of server that a stage may need."""

    POSTGRES = "postgres"
    REDIS = "redis"
    KAFKA = "kafka"


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    component: Component
    url: str = field(repr=False)
    """``postgresql://user:password@host:port/postgres``, ``redis://:password@host:port/0``, or for Kafka the
    bootstrap servers, ``host:port[,host:port]``. It may hold a password: never log it, show `address`."""
    address: str
    """``host:port``, fit to be shown."""
    version: str
    """Product and version as the server itself reports them, as "PostgreSQL 18.6"."""
    process: ManagedProcess | None
    """None for a server that this run did not start."""
    settings: Mapping[str, str]
    """What was set, or asked of the server, for the report; what decides about durability first."""


class Infrastructure(ABC):
    """The servers of one run. Use it as a context manager, within its supervisor's."""

    provider: str

    def __init__(self) -> None:
        self._servers: dict[Component, Server] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @abstractmethod
    def ensure(self, *components: Component) -> None:
        """Have these servers running; those that do already are left alone, several are started side by side.

        Raises:
            HarnessError: one cannot be had; it says which and why.
        """

    @abstractmethod
    def restart(self, component: Component) -> Server:
        """Stop a server, if it still runs, and start it on the same data folder and port.

        Raises:
            HarnessError: it does not come back, or it is not this run's to restart.
        """

    def close(self) -> None:
        """Give the servers up before the run ends. The supervisor ends them in any case."""
        self._servers.clear()

    def server(self, component: Component) -> Server:
        """A server that `ensure` was called for.

        Raises:
            KeyError: it was not.
        """
        return self._servers[component]

    @property
    def servers(self) -> tuple[Server, ...]:
        """All that run, in the order of `Component`."""
        return tuple(self._servers[component] for component in Component if component in self._servers)

    @property
    def postgres_url(self) -> str:
        return self.server(Component.POSTGRES).url

    @property
    def redis_url(self) -> str:
        return self.server(Component.REDIS).url

    @property
    def kafka_bootstrap(self) -> str:
        return self.server(Component.KAFKA).url
