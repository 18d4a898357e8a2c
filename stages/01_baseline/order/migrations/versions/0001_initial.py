"""The first schema: bookings."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "bookings",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("concert_id", sa.BigInteger(), nullable=False, comment="in concert-service"),
        sa.Column("schedule_id", sa.BigInteger(), nullable=False, comment="in concert-service"),
        sa.Column("payment_id", sa.BigInteger()),
        sa.Column("price", sa.Integer(), nullable=False, comment="won, as it was when booked"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("seat_row", sa.Integer(), nullable=False),
        sa.Column("seat_column", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), comment="when a pending booking is given up"),
        *_audited(),
        sa.PrimaryKeyConstraint("id", name="pk_bookings"),
        sa.CheckConstraint(
            "status IN ('PENDING', 'CONFIRMED', 'CANCEL_REQUESTED', 'CANCELED')", name=op.f("ck_bookings_status")
        ),
        sa.CheckConstraint("price > 0", name=op.f("ck_bookings_price")),
        sa.CheckConstraint("seat_row > 0 AND seat_column > 0", name=op.f("ck_bookings_seat")),
        sa.CheckConstraint("status = 'CANCELED' OR NOT is_deleted", name=op.f("ck_bookings_deleted_when_canceled")),
    )
    op.create_index(
        "ix_bookings_active_seat",
        "bookings",
        ["schedule_id", "seat_row", "seat_column"],
        postgresql_where=sa.text("status <> 'CANCELED'"),
    )
    op.create_index("ix_bookings_user_id", "bookings", ["user_id"], postgresql_where=sa.text("NOT is_deleted"))


def downgrade() -> None:
    op.drop_table("bookings")


def _audited() -> list[sa.Column[Any]]:
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("created_by", sa.BigInteger()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("updated_by", sa.BigInteger()),
        sa.Column("is_deleted", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True)),
        sa.Column("deleted_by", sa.BigInteger()),
    ]
