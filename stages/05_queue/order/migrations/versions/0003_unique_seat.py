"""A seat has at most one active booking, whoever writes it: the index over the seats becomes unique."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_SEAT = ["schedule_id", "seat_row", "seat_column"]
_ACTIVE = sa.text("status <> 'CANCELED'")


def upgrade() -> None:
    # The new one first: this fails, and changes nothing, if a seat has been sold twice.
    op.create_index("uq_bookings_active_seat", "bookings", _SEAT, unique=True, postgresql_where=_ACTIVE)
    op.drop_index("ix_bookings_active_seat", "bookings")


def downgrade() -> None:
    op.create_index("ix_bookings_active_seat", "bookings", _SEAT, postgresql_where=_ACTIVE)
    op.drop_index("uq_bookings_active_seat", "bookings")
