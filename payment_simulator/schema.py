"""The ledger's tables. ``README.md`` explains them; audits may read the file directly, while the simulator runs."""

from __future__ import annotations

import sqlite3
from pathlib import Path

VERSION = 1

_TABLES = """
CREATE TABLE checkouts (
    payment_key TEXT PRIMARY KEY,
    order_id    TEXT NOT NULL,
    order_name  TEXT NOT NULL,
    amount      INTEGER NOT NULL CHECK (amount > 0),
    created_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX checkouts_by_order ON checkouts (order_id);

CREATE TABLE payments (
    payment_key     TEXT PRIMARY KEY REFERENCES checkouts,
    order_id        TEXT NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('DONE', 'PARTIAL_CANCELED', 'CANCELED', 'ABORTED')),
    total_amount    INTEGER NOT NULL CHECK (total_amount > 0),
    balance_amount  INTEGER NOT NULL CHECK (balance_amount BETWEEN 0 AND total_amount),
    transaction_key TEXT UNIQUE,
    confirmed_ms    INTEGER NOT NULL,
    failure_code    TEXT,
    failure_message TEXT,
    CHECK ((status = 'ABORTED') = (failure_code IS NOT NULL)),
    CHECK ((status = 'ABORTED') = (transaction_key IS NULL)),
    CHECK ((status = 'CANCELED') <= (balance_amount = 0))
) STRICT;
CREATE UNIQUE INDEX one_approval_per_order ON payments (order_id) WHERE status <> 'ABORTED';

CREATE TABLE cancels (
    transaction_key TEXT PRIMARY KEY,
    payment_key     TEXT NOT NULL REFERENCES payments,
    number          INTEGER NOT NULL CHECK (number > 0),
    amount          INTEGER NOT NULL CHECK (amount > 0),
    balance_after   INTEGER NOT NULL CHECK (balance_after >= 0),
    reason          TEXT NOT NULL,
    canceled_ms     INTEGER NOT NULL,
    UNIQUE (payment_key, number)
) STRICT;

CREATE TABLE idempotency_keys (
    address        TEXT NOT NULL,
    key            TEXT NOT NULL,
    request_sha256 TEXT NOT NULL,
    status         INTEGER NOT NULL,
    body           TEXT NOT NULL,
    created_ms     INTEGER NOT NULL,
    PRIMARY KEY (address, key)
) STRICT, WITHOUT ROWID;
"""


class LedgerUnusable(Exception):
    """The ledger file cannot be opened, or is something else than a ledger of this version."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """The ledger, made if it does not exist. Every commit is on disk before it returns (WAL, ``synchronous=FULL``).

    Raises:
        LedgerUnusable: see there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        _create(connection)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnusable(f"the ledger {path} cannot be opened: {error}") from error
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """The ledger that ``open_for_writing`` has made, read-only; rows can be asked for columns by name."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None,
                                 check_same_thread=False)  # fmt: skip
    connection.row_factory = sqlite3.Row
    return connection


def _create(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == VERSION:
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if version or tables:
        raise sqlite3.DatabaseError(f"it is no ledger of version {VERSION}")
    connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
