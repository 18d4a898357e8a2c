"""Databases on the provisioned PostgreSQL: each stage gets its own three, whoever runs the server."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from harness.errors import HarnessError
from harness.provision.model import Infrastructure

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_CONNECT_SECONDS = 5


def database_url(server_url: str, name: str) -> str:
    """The URL of another database on the same server; query parameters stay."""
    return urlunsplit(urlsplit(server_url)._replace(path=f"/{_valid(name)}"))


def create_database(infrastructure: Infrastructure, name: str) -> str:
    """Make an empty database and return its URL.

    Raises:
        HarnessError: it exists already, or the server refuses.
        ValueError: ``name`` is not lower-case letters, digits and underscores, at most 63 of them.
    """
    _execute(infrastructure, "CREATE DATABASE {}", name, "created")
    return database_url(infrastructure.postgres_url, name)


def drop_database(infrastructure: Infrastructure, name: str) -> None:
    """Remove a database and end its connections; one that does not exist is fine.

    Raises:
        HarnessError: the server refuses.
        ValueError: ``name`` is not a valid name.
    """
    _execute(infrastructure, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name, "dropped")


def _execute(infrastructure: Infrastructure, statement: str, name: str, verb: str) -> None:
    query = sql.SQL(statement).format(sql.Identifier(_valid(name)))
    try:
        with psycopg.connect(
            infrastructure.postgres_url, autocommit=True, connect_timeout=_CONNECT_SECONDS
        ) as connection:
            connection.execute(query)
    except psycopg.Error as error:
        reason = error.diag.message_primary or " ".join(str(error).split())
        raise HarnessError(f"The database {name} cannot be {verb}: {reason}.") from error


def _valid(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a database name: lower-case letters, digits and underscores, at most 63")
    return name
