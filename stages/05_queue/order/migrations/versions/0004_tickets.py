"""The outcomes of tickets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tickets",
        sa.Column("ticket_id", sa.String(200), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("http_status", sa.SmallInteger(), nullable=True, comment="null where nothing was answered"),
        sa.Column("body", sa.Text(), nullable=True, comment="the answer, byte for byte"),
        sa.Column("finished_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('DONE', 'FAILED', 'ABANDONED')", name="ck_tickets_status"),
        sa.CheckConstraint(
            "(status = 'DONE') = (http_status IS NOT NULL AND body IS NOT NULL)", name="ck_tickets_answered"
        ),
        sa.PrimaryKeyConstraint("ticket_id", name="pk_tickets"),
    )
    op.create_index("ix_tickets_finished_at", "tickets", ["finished_at"])


def downgrade() -> None:
    op.drop_table("tickets")
