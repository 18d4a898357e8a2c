"""The tables of order-service."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, MetaData, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.database import NAMING, TYPES, Audited


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = TYPES


class BookingStatus(StrEnum):
    """``PENDING`` until paid, then ``CONFIRMED``; ``CANCEL_REQUESTED`` until refunded, then ``CANCELED``."""

    PENDING = "PENDING"
    CONFIRMED = "CONFIRMED"
    CANCEL_REQUESTED = "CANCEL_REQUESTED"
    CANCELED = "CANCELED"


# A seat is taken in every status but one. Written out, not as a parameter, so that PostgreSQL sees that the partial
# index below answers it.
ACTIVE = text("status <> 'CANCELED'")


class Booking(Audited, Base):
    """One seat, in one show, for one person.

    Nothing here keeps two bookings from holding one seat: the index is not unique, and the transaction is the guard.
    """

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'CONFIRMED', 'CANCEL_REQUESTED', 'CANCELED')", name="status"),
        CheckConstraint("price > 0", name="price"),
        CheckConstraint("seat_row > 0 AND seat_column > 0", name="seat"),
        CheckConstraint("status = 'CANCELED' OR NOT is_deleted", name="deleted_when_canceled"),
        Index("ix_bookings_active_seat", "schedule_id", "seat_row", "seat_column", postgresql_where=ACTIVE),
        Index("ix_bookings_user_id", "user_id", postgresql_where=text("NOT is_deleted")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    concert_id: Mapped[int] = mapped_column(BigInteger, comment="in concert-service")
    schedule_id: Mapped[int] = mapped_column(BigInteger, comment="in concert-service")
    payment_id: Mapped[int | None] = mapped_column(BigInteger)
    price: Mapped[int] = mapped_column(comment="won, as it was when booked")
    status: Mapped[str] = mapped_column(String(16))
    seat_row: Mapped[int]
    seat_column: Mapped[int]
    expires_at: Mapped[datetime | None] = mapped_column(comment="when a pending booking is given up")
