"""Stages that have a cache, each on a Valkey of these tests' own, to be filled with rubbish, paused and killed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from harness.launch import Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, drop_database, provision
from harness.stages.manifest import Stage
from harness.supervise import Supervisor
from tests import plain
from tests.cache.theatre import Theatre
from tests.contract.making import making
from tests.own_stage import ONE_OF_EACH
from tests.stage_fixtures import stage as stage


@pytest.fixture(scope="package")
def theatre(
    stage: Stage, infrastructure: Infrastructure, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Theatre]:
    """A whole stage; its databases are on the PostgreSQL that all tests share, everything else is its own."""
    folder = tmp_path_factory.mktemp(f"cache-{stage.id}")
    names = {package: f"cache_{stage.id[:2]}_{name}" for package, name in DATABASES.items()}
    urls = {package: create_database(infrastructure, name) for package, name in names.items()}
    # An owner of its own: two sets of servers of one owner would meet in its scratch folder.
    with Supervisor("cache") as owner, provision("embedded", owner, log_folder=folder, report=print) as servers:
        servers.ensure(*(Component(name) for name in stage.infrastructure if name != "postgres"))
        with (
            launch(
                stage.with_replicas(ONE_OF_EACH),
                servers,
                owner,
                database_urls=urls,
                secrets=Secrets(),
                log_folder=folder,
            ) as running,
            plain.Client(base_url=running.gateway_url, timeout=20) as client,
            making(running, client) as maker,
        ):
            yield Theatre.opened(maker, servers)
    for name in names.values():
        drop_database(infrastructure, name)
