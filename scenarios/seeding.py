"""Loading a data set into the databases of a stage, by COPY, in seconds.

The columns written are those that every stage has had since the first; what a later stage adds has a default.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

import psycopg
from psycopg import sql

from scenarios.dataset import (
    BOOKING_FIELDS,
    CONCERT_FIELDS,
    PAYMENT_FIELDS,
    SCHEDULE_FIELDS,
    USER_FIELDS,
    VENUE_FIELDS,
    Dataset,
    Rows,
    concert_rows,
    schedule_rows,
    sold_rows,
    user_rows,
    venue_rows,
)

SEEDED_AT_MS = 1_700_000_000_000
"""When the seeded payments were made, by the ledger: some day in the past."""


def seed_databases(database_urls: Mapping[str, str], dataset: Dataset, password_hash: str) -> None:
    """Empties the three databases and fills them with ``dataset``; every account has the same password."""
    _fill(database_urls["user"], {"users": (USER_FIELDS, user_rows(dataset, password_hash))})
    _fill(
        database_urls["concert"],
        {
            "venues": (VENUE_FIELDS, venue_rows(dataset)),
            "concerts": (CONCERT_FIELDS, concert_rows(dataset)),
            "schedules": (SCHEDULE_FIELDS, schedule_rows(dataset)),
        },
    )
    bookings, payments = sold_rows(dataset)
    _fill(
        database_urls["order"],
        {"payments": (PAYMENT_FIELDS, payments), "bookings": (BOOKING_FIELDS, bookings)},
        others=("refunds", "idempotency_keys"),
    )


def seed_ledger(path: Path, dataset: Dataset) -> None:
    """Empties the payment simulator's ledger and books every seeded payment in it, as if it had taken it."""
    ledger = sqlite3.connect(path, timeout=30.0)
    try:
        with ledger:
            for table in ("cancels", "idempotency_keys", "payments", "checkouts"):
                ledger.execute(f"DELETE FROM {table}")
            _, sold = sold_rows(dataset)
            payments = [(row[6], row[7], row[4], f"seeded-{row[0]}", SEEDED_AT_MS) for row in sold]
            ledger.executemany(
                "INSERT INTO checkouts (payment_key, order_id, order_name, amount, created_ms)"
                " VALUES (?, ?, 'seeded', ?, ?)",
                [(key, order, amount, at) for key, order, amount, _, at in payments],
            )
            ledger.executemany(
                "INSERT INTO payments (payment_key, order_id, status, total_amount, balance_amount, transaction_key,"
                " confirmed_ms) VALUES (?, ?, 'DONE', ?, ?, ?, ?)",
                [(key, order, amount, amount, transaction, at) for key, order, amount, transaction, at in payments],
            )
    finally:
        ledger.close()


def _fill(database_url: str, tables: Mapping[str, tuple[Sequence[str], Rows]], others: Sequence[str] = ()) -> None:
    """Replaces the content of ``tables``, empties the ``others``, and tells the planner what is there now."""
    with psycopg.connect(database_url) as connection, connection.cursor() as cursor:
        names = sql.SQL(", ").join(map(sql.Identifier, [*tables, *others]))
        cursor.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
        for table, (columns, rows) in tables.items():
            names = sql.SQL(", ").join(map(sql.Identifier, columns))
            with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)) as copy:
                for row in rows:
                    copy.write_row(row)
            # The ids were given by us; the next one that the platform makes comes after them.
            cursor.execute(
                sql.SQL("SELECT setval(pg_get_serial_sequence({}, 'id'), GREATEST(max(id), 1)) FROM {}").format(
                    sql.Literal(table), sql.Identifier(table)
                )
            )
    with psycopg.connect(database_url, autocommit=True) as connection:
        for table in (*tables, *others):
            connection.execute(sql.SQL("VACUUM (ANALYZE) {}").format(sql.Identifier(table)))
