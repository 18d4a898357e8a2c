"""A seeded platform that an audit looks at."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from harness.launch.environment import DATABASES
from harness.provision import Infrastructure, create_database
from harness.stages.manifest import REPOSITORY, STAGES_ROOT, discover_stages
from payment_simulator.schema import open_for_writing
from scenarios.model import CellState
from scenarios.seeding import seed_databases, seed_ledger
from tests.harness.audited import SMALL


@pytest.fixture(scope="package")
def urls(infrastructure: Infrastructure) -> dict[str, str]:
    """The databases of the first stage, migrated; the rules read columns that every stage has."""
    made = {package: create_database(infrastructure, f"audit_{name}") for package, name in DATABASES.items()}
    stage = discover_stages(STAGES_ROOT)[0]
    program = (
        "import sys; from common.migrations import upgrade\nfor pair in sys.argv[1:]: upgrade(*pair.split('=', 1))"
    )
    subprocess.run(
        [sys.executable, "-c", program, *(f"{package}={url}" for package, url in made.items())],
        env={**os.environ, "PYTHONPATH": f"{stage.folder}{os.pathsep}{REPOSITORY}"},
        check=True,
        capture_output=True,
    )
    return made


@pytest.fixture
def state(urls: dict[str, str], tmp_path: Path) -> CellState:
    """A seeded platform after a load in which nothing happened."""
    ledger = tmp_path / "ledger.sqlite3"
    open_for_writing(ledger).close()
    seed_databases(urls, SMALL, "hash")
    seed_ledger(ledger, SMALL)
    return CellState(urls, SMALL, "http://127.0.0.1:1", tokens=["token"] * SMALL.buyers, ledger=ledger)


@pytest.fixture
def order(urls: dict[str, str], state: CellState) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(urls["order"], autocommit=True) as connection:
        yield connection
