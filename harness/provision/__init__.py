"""PostgreSQL, Redis and Kafka as connection URLs, the same to the harness and to pytest."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.provision.databases import create_database, database_url, drop_database
from harness.provision.embedded import EmbeddedInfrastructure
from harness.provision.external import ExternalInfrastructure
from harness.provision.model import Component, Infrastructure, Server
from harness.provision.starting import Report
from harness.supervise import Supervisor

Provider = Literal["embedded", "external"]

__all__ = [
    "Component",
    "Infrastructure",
    "Provider",
    "Server",
    "create_database",
    "database_url",
    "drop_database",
    "provision",
]


def provision(provider: Provider, supervisor: Supervisor, *, log_folder: Path, report: Report) -> Infrastructure:
    """The servers of a run, none of which is started (or asked) before `Infrastructure.ensure`.

    Args:
        provider: ``embedded`` starts its own, ``external`` takes URLs from the environment.
        supervisor: the run that owns what is started.
        log_folder: where the servers' logs go.
        report: gets a sentence about whatever takes longer than two seconds.
    """
    if provider == "external":
        return ExternalInfrastructure()
    return EmbeddedInfrastructure(supervisor, log_folder, report)
