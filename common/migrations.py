"""Alembic for the services: each has its own database and its own ``migrations`` folder.

``python -m common.migrations user concert order`` brings the three databases of a stage to their newest revision. It
needs ``USER_DATABASE_URL`` and so on, and none of the services' other settings.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from alembic import command, context
from alembic.config import Config
from sqlalchemy import MetaData, NullPool, create_engine

# Two processes that migrate one database at once take turns; the number only has to be ours.
ADVISORY_LOCK = 7_210_114


def upgrade(package: str, database_url: str) -> None:
    """Brings the database of ``package`` to the newest revision; does nothing where it is there already."""
    module = import_module(f"{package}.migrations")
    config = Config()
    config.set_main_option("script_location", str(Path(str(module.__file__)).parent).replace("%", "%%"))
    config.attributes["database_url"] = database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    command.upgrade(config, "head")


def run_environment(metadata: MetaData) -> None:
    """What the ``env.py`` of every service calls: migrate online, in one transaction, one process at a time."""
    engine = create_engine(context.config.attributes["database_url"], poolclass=NullPool)
    with engine.connect() as connection:
        context.configure(connection=connection, target_metadata=metadata, compare_type=True)
        with context.begin_transaction():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
            context.run_migrations()


def main(packages: list[str]) -> int:
    for package in packages:
        variable = f"{package.upper()}_DATABASE_URL"
        url = os.environ.get(variable)
        if not url:
            print(f"{package}: {variable} is not set", file=sys.stderr)
            return 2
        upgrade(package, url)
        print(f"{package}: at the newest revision", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
