"""The first schema: bookings, payments, refunds, idempotency keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from common.audit_columns import audit_columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_payments()
    _create_bookings()
    _create_refunds()
    _create_idempotency_keys()


def downgrade() -> None:
    for table in ("idempotency_keys", "refunds", "bookings", "payments"):
        op.drop_table(table)


def _create_payments() -> None:
    op.create_table(
        "payments",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("concert_id", sa.BigInteger(), nullable=False, comment="in concert-service"),
        sa.Column("schedule_id", sa.BigInteger(), nullable=False, comment="in concert-service"),
        sa.Column("total_price", sa.BigInteger(), nullable=False, comment="won"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("payment_key", sa.String(200), comment="the provider's name for it"),
        sa.Column("order_id", sa.String(64), comment="our name for it at the provider"),
        sa.Column("card", sa.String(32), comment="masked number"),
        sa.Column("problem", sa.String(100), comment="the provider's reason for a failure"),
        sa.Column(
            "confirm_due_at",
            sa.DateTime(timezone=True),
            comment="set while the provider may have the money without our knowing: when to ask it again",
        ),
        sa.Column("confirm_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        *audit_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_payments"),
        sa.CheckConstraint("status IN ('WAITING', 'COMPLETED', 'FAILED', 'CANCELED')", name=op.f("ck_payments_status")),
        sa.CheckConstraint("total_price > 0", name=op.f("ck_payments_total_price")),
        sa.CheckConstraint(
            "status <> 'COMPLETED' OR payment_key IS NOT NULL", name=op.f("ck_payments_completed_with_key")
        ),
        sa.CheckConstraint(
            "confirm_due_at IS NULL OR (status = 'WAITING' AND payment_key IS NOT NULL AND order_id IS NOT NULL)",
            name=op.f("ck_payments_confirming"),
        ),
        sa.CheckConstraint("status = 'CANCELED' OR NOT is_deleted", name=op.f("ck_payments_deleted_when_canceled")),
    )
    _create_index("ix_payments_user_id", "payments", ["user_id"], where="NOT is_deleted")
    _create_index("ix_payments_concert_id", "payments", ["concert_id"], where="NOT is_deleted")
    _create_index("ix_payments_confirm_due_at", "payments", ["confirm_due_at"], where="confirm_due_at IS NOT NULL")
    _create_index("uq_payments_payment_key", "payments", ["payment_key"], where="status <> 'FAILED'", unique=True)


def _create_bookings() -> None:
    op.create_table(
        "bookings",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("concert_id", sa.BigInteger(), nullable=False, comment="in concert-service"),
        sa.Column("schedule_id", sa.BigInteger(), nullable=False, comment="in concert-service"),
        sa.Column("payment_id", sa.BigInteger(), comment="the latest that covers it"),
        sa.Column("price", sa.Integer(), nullable=False, comment="won, as it was when booked"),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("seat_row", sa.Integer(), nullable=False),
        sa.Column("seat_column", sa.Integer(), nullable=False),
        sa.Column(
            "expires_at",
            sa.DateTime(timezone=True),
            comment="when a pending booking is given up; null while its payment is being confirmed, and afterwards",
        ),
        *audit_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_bookings"),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_bookings_payment_id_payments"),
        sa.CheckConstraint(
            "status IN ('PENDING', 'CONFIRMED', 'CANCEL_REQUESTED', 'CANCELED')", name=op.f("ck_bookings_status")
        ),
        sa.CheckConstraint("price > 0", name=op.f("ck_bookings_price")),
        sa.CheckConstraint("seat_row > 0 AND seat_column > 0", name=op.f("ck_bookings_seat")),
        sa.CheckConstraint("status = 'CANCELED' OR NOT is_deleted", name=op.f("ck_bookings_deleted_when_canceled")),
    )
    seat = ["schedule_id", "seat_row", "seat_column"]
    _create_index("ix_bookings_active_seat", "bookings", seat, where="status <> 'CANCELED'")
    _create_index("ix_bookings_user_id", "bookings", ["user_id"], where="NOT is_deleted")
    sold = "status <> 'PENDING' AND NOT is_deleted"
    _create_index("ix_bookings_sold_concert_id", "bookings", ["concert_id"], where=sold)
    _create_index("ix_bookings_payment_id", "bookings", ["payment_id"], where="payment_id IS NOT NULL")
    _create_index("ix_bookings_pending_expires_at", "bookings", ["expires_at"], where="status = 'PENDING'")


def _create_refunds() -> None:
    op.create_table(
        "refunds",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("payment_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "booking_id",
            sa.BigInteger(),
            comment="null: a whole payment, which had failed before its money came",
        ),
        sa.Column("amount", sa.BigInteger(), nullable=False, comment="won"),
        sa.Column("idempotency_key", sa.String(64), nullable=False, comment="sent to the provider"),
        sa.Column("status", sa.String(16), server_default=sa.text("'REQUESTED'"), nullable=False),
        sa.Column("transaction_key", sa.String(64), comment="the provider's, of the refund"),
        sa.Column("problem", sa.String(100), comment="why the last attempt failed"),
        sa.Column(
            "due_at",
            sa.DateTime(timezone=True),
            server_default=sa.func.now(),
            nullable=False,
            comment="when to ask the provider again, if nobody is on it",
        ),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        *audit_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_refunds"),
        sa.ForeignKeyConstraint(["payment_id"], ["payments.id"], name="fk_refunds_payment_id_payments"),
        sa.ForeignKeyConstraint(["booking_id"], ["bookings.id"], name="fk_refunds_booking_id_bookings"),
        sa.UniqueConstraint("booking_id", name="uq_refunds_booking_id"),
        sa.UniqueConstraint("idempotency_key", name="uq_refunds_idempotency_key"),
        sa.CheckConstraint("status IN ('REQUESTED', 'DONE')", name=op.f("ck_refunds_status")),
        sa.CheckConstraint("amount > 0", name=op.f("ck_refunds_amount")),
    )
    _create_index("ix_refunds_due_at", "refunds", ["due_at"], where="status = 'REQUESTED'")
    _create_index("ix_refunds_payment_id", "refunds", ["payment_id"])


def _create_idempotency_keys() -> None:
    op.create_table(
        "idempotency_keys",
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("request_hash", sa.String(64), nullable=False, comment="SHA-256 of method, path and body"),
        sa.Column("status", sa.SmallInteger(), comment="HTTP status; null: begun, not answered yet"),
        sa.Column("body", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", "key", name="pk_idempotency_keys"),
    )
    _create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _create_index(name: str, table: str, columns: list[str], *, where: str | None = None, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, postgresql_where=None if where is None else sa.text(where))
