"""The ledger read back for audits: every row as a JSON line, or counts and sums; each from one snapshot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.alias_generators import to_camel
from pydantic_core import to_json

from payment_simulator.schema import open_for_reading

_ROWS_AT_ONCE = 500

# Type of line to the query that gives its fields; columns are sent in camelCase.
_LINES = {
    "checkout": "SELECT * FROM checkouts",
    "payment": "SELECT * FROM payments",
    "cancel": "SELECT c.*, p.order_id FROM cancels c JOIN payments p USING (payment_key)",
    "idempotencyKey": "SELECT * FROM idempotency_keys",
}


def ledger_lines(path: Path) -> Iterator[bytes]:
    """JSON lines in chunks, each line with its ``type``; the last is ``{"type": "end", "lines": N}``.

    Without that last line the answer was cut off.
    """
    connection = open_for_reading(path)
    try:
        connection.execute("BEGIN")
        count = 0
        for kind, query in _LINES.items():
            cursor = connection.execute(query)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                count += len(rows)
                yield b"".join(_line({"type": kind, **_camel(row)}) for row in rows)
        yield _line({"type": "end", "lines": count})
    finally:
        connection.close()


def summary(connection: sqlite3.Connection) -> dict[str, Any]:
    """Counts and sums (won): taken, given back and kept, and the payments by status."""
    by_status = {
        status: {"count": count, "totalAmount": total, "balanceAmount": balance}
        for status, count, total, balance in connection.execute(
            "SELECT status, count(*), sum(total_amount), sum(balance_amount) FROM payments GROUP BY status"
        )
    }
    approved = [sums for status, sums in by_status.items() if status != "ABORTED"]
    cancels, canceled = connection.execute("SELECT count(*), coalesce(sum(amount), 0) FROM cancels").fetchone()
    (checkouts,) = connection.execute("SELECT count(*) FROM checkouts").fetchone()
    (keys,) = connection.execute("SELECT count(*) FROM idempotency_keys").fetchone()
    return {
        "checkouts": checkouts,
        "payments": by_status,
        "approvals": sum(sums["count"] for sums in approved),
        "approvedAmount": sum(sums["totalAmount"] for sums in approved),
        "cancels": cancels,
        "canceledAmount": canceled,
        "balanceAmount": sum(sums["balanceAmount"] for sums in approved),
        "idempotencyKeys": keys,
    }


def _camel(row: sqlite3.Row) -> dict[str, Any]:
    return {to_camel(name): row[name] for name in row.keys()}  # noqa: SIM118 (a row iterates over its values)


def _line(fields: dict[str, Any]) -> bytes:
    return to_json(fields) + b"\n"
