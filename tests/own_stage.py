"""A stage that one part of the tests has to itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from harness.launch import RunningStage, Secrets, launch
from harness.launch.environment import DATABASES
from harness.provision import Component, Infrastructure, create_database, drop_database
from harness.stages.manifest import Stage
from harness.supervise import Supervisor

ONE_OF_EACH = {"concert": 1, "order": 1}
"""Replicas (``Stage.with_replicas``) for tests that stop *the* process of a service; tests/scaleout has several."""


@contextmanager
def own_stage(
    name: str,
    stage: Stage,
    infrastructure: Infrastructure,
    supervisor: Supervisor,
    tmp_path_factory: pytest.TempPathFactory,
    overrides: Mapping[str, str],
) -> Iterator[RunningStage]:
    """``stage`` on empty databases named after ``name``, which are dropped in the end."""
    infrastructure.ensure(*(Component(server) for server in stage.infrastructure))
    names = {package: f"{name}_{stage.id[:2]}_{database}" for package, database in DATABASES.items()}
    with launch(
        stage,
        infrastructure,
        supervisor,
        database_urls={package: create_database(infrastructure, database) for package, database in names.items()},
        secrets=Secrets(),
        log_folder=tmp_path_factory.mktemp(f"{name}-{stage.id}"),
        overrides=overrides,
    ) as running:
        yield running
    for database in names.values():
        drop_database(infrastructure, database)
