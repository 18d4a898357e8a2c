"""The first schema: concerts, venues, schedules."""

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
        "concerts",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("user_id", sa.BigInteger(), nullable=False, comment="the seller"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("run_time", sa.Integer(), nullable=False, comment="minutes"),
        sa.Column("start_date", sa.Date(), nullable=False),
        sa.Column("end_date", sa.Date(), nullable=False),
        sa.Column("price", sa.Integer(), nullable=False, comment="won, for one seat"),
        sa.Column("image", sa.String(2048), nullable=False, comment="URL, or empty"),
        *audit_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_concerts"),
        sa.CheckConstraint("name <> ''", name=op.f("ck_concerts_name")),
        sa.CheckConstraint("run_time > 0", name=op.f("ck_concerts_run_time")),
        sa.CheckConstraint("end_date >= start_date", name=op.f("ck_concerts_dates")),
        sa.CheckConstraint("price > 0", name=op.f("ck_concerts_price")),
    )
    op.create_table(
        "venues",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("location", sa.String(200), nullable=False),
        sa.Column("row_count", sa.Integer(), nullable=False),
        sa.Column("column_count", sa.Integer(), nullable=False),
        *audit_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_venues"),
        sa.CheckConstraint("row_count > 0", name=op.f("ck_venues_row_count")),
        sa.CheckConstraint("column_count > 0", name=op.f("ck_venues_column_count")),
    )
    op.create_table(
        "schedules",
        sa.Column("id", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("concert_id", sa.BigInteger(), nullable=False),
        sa.Column("venue_id", sa.BigInteger(), nullable=False),
        sa.Column("concert_date", sa.Date(), nullable=False),
        sa.Column("concert_time", sa.Time(), nullable=False),
        *audit_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
        sa.ForeignKeyConstraint(["concert_id"], ["concerts.id"], name="fk_schedules_concert_id_concerts"),
        sa.ForeignKeyConstraint(["venue_id"], ["venues.id"], name="fk_schedules_venue_id_venues"),
    )
    living = sa.text("NOT is_deleted")
    op.create_index("ix_concerts_user_id", "concerts", ["user_id"], postgresql_where=living)
    op.create_index("ix_schedules_concert_id", "schedules", ["concert_id"], postgresql_where=living)
    op.create_index("ix_schedules_venue_id", "schedules", ["venue_id"], postgresql_where=living)


def downgrade() -> None:
    op.drop_table("schedules")
    op.drop_table("venues")
    op.drop_table("concerts")
