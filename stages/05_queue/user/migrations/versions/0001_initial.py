"""The first schema: users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from common.audit_columns import audit_columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("nickname", sa.String(10), nullable=False),
        sa.Column("phone", sa.String(11), nullable=False),
        sa.Column("profile_image", sa.String(2048), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        *audit_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.CheckConstraint("role IN ('ROLE_USER', 'ROLE_SELLER', 'ROLE_MANAGER')", name=op.f("ck_users_role")),
    )
    living = sa.text("NOT is_deleted")
    op.create_index("uq_users_email", "users", ["email"], unique=True, postgresql_where=living)
    op.create_index("uq_users_nickname", "users", ["nickname"], unique=True, postgresql_where=living)
    op.create_index("uq_users_phone", "users", ["phone"], unique=True, postgresql_where=living)


def downgrade() -> None:
    op.drop_table("users")
