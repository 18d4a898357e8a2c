"""A Valkey of these tests' own; and nothing at all where the stage on the path has no cache."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from harness.provision import Component, Infrastructure, provision
from harness.supervise import Supervisor

# Stage 01 has nothing of what these modules import.
collect_ignore_glob = [] if find_spec("concert.cache_entries") else ["*.py"]


@pytest.fixture(scope="package")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """Valkey alone, for this folder's tests to plant things in, to hold up and to kill."""
    logs = tmp_path_factory.mktemp("cache-servers")
    with Supervisor("cache-units") as owner, provision("embedded", owner, log_folder=logs, report=print) as ours:
        ours.ensure(Component.REDIS)
        yield ours
