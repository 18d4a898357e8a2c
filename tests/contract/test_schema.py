"""The databases are what the models say, by whatever migrations they got there."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping

import psycopg
import pytest

from harness.launch import RunningStage
from harness.launch.environment import DATABASES
from harness.provision import Infrastructure, create_database, drop_database
from harness.stages.manifest import REPOSITORY, Stage
from tests.contract.making import number

# Package names repeat in every stage, so this runs in an interpreter of its own with one stage on its path.
DRIFT = """
import sys
from importlib import import_module
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

for package, url in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    models = import_module(f"{package}.models")
    with create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1)).connect() as connection:
        options = {"compare_type": True, "compare_server_default": True}
        context = MigrationContext.configure(connection, opts=options)
        for difference in compare_metadata(context, models.Base.metadata):
            print(package, difference)
"""

# Up, down and up again; after each step, what the database looks like.
ROUND_TRIP = """
import sys
from importlib import import_module
from pathlib import Path
from alembic import command
from alembic.config import Config
from tests.contract.tables import structure

for package, url in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    config = Config()
    folder = Path(import_module(f"{package}.migrations").__file__).parent
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["database_url"] = url.replace("postgresql://", "postgresql+psycopg://", 1)
    for step, revision in ((command.upgrade, "head"), (command.downgrade, "base"), (command.upgrade, "head")):
        step(config, revision)
        print(structure(url))
"""


def python(stage: Stage, code: str, *arguments: str) -> list[str]:
    """The lines that ``code`` prints with ``stage`` on its path."""
    finished = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(stage.folder), str(REPOSITORY)])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.splitlines()


def pairs(urls: Mapping[str, str]) -> list[str]:
    return [argument for pair in urls.items() for argument in pair]


def test_the_migrated_databases_are_what_the_models_say(platform: RunningStage) -> None:
    assert python(platform.stage, DRIFT, *pairs(platform.database_urls)) == []


@pytest.fixture
def scratch(infrastructure: Infrastructure) -> Iterator[dict[str, str]]:
    """Package to the URL of an empty database."""
    names = {package: f"scratch_{package}_{number()}" for package in DATABASES}
    yield {package: create_database(infrastructure, name) for package, name in names.items()}
    for name in names.values():
        drop_database(infrastructure, name)


def test_the_migrations_can_be_taken_back_and_applied_again(stage: Stage, scratch: dict[str, str]) -> None:
    seen = [ast.literal_eval(line) for line in python(stage, ROUND_TRIP, *pairs(scratch))]
    assert len(seen) == 3 * len(DATABASES)
    for first, without, again in zip(seen[0::3], seen[1::3], seen[2::3], strict=True):
        assert len(first) > 10
        assert again == first
        left = {row[0] for row in without}
        assert all(name.startswith("alembic_version") for name in left), left


@pytest.mark.parametrize("package", DATABASES)
def test_every_row_can_say_who_made_changed_and_deleted_it(package: str, platform: RunningStage) -> None:
    """The contract's "every row", of the tables that hold what people made."""
    with psycopg.connect(platform.database_urls[package]) as connection:
        columns: dict[str, set[str]] = {}
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        ):
            columns.setdefault(table, set()).add(column)
    audited = {"users", "concerts", "venues", "schedules", "bookings", "payments"} & columns.keys()
    assert audited
    for table in audited:
        assert {
            "created_at", "created_by", "updated_at", "updated_by", "is_deleted", "deleted_at", "deleted_by",
        } <= columns[table], table  # fmt: skip
