"""The columns of ``common.database.Audited``, as migrations make them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def audit_columns() -> list[sa.Column[Any]]:
    """New columns for one table: who made, changed and deleted a row, and when."""
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("created_by", sa.BigInteger()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_by", sa.BigInteger()),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_by", sa.BigInteger()),
    ]
