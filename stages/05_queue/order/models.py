"""The tables of order-service."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    SmallInteger,
    String,
    Text,
    func,
    text,
)
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


class PaymentStatus(StrEnum):
    """``WAITING`` for the buyer, then for the provider; ``FAILED``: no money was taken; ``CANCELED``: none was kept."""

    WAITING = "WAITING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class RefundStatus(StrEnum):
    """``REQUESTED`` from the moment that a cancellation is accepted; ``DONE`` once the provider has said so."""

    REQUESTED = "REQUESTED"
    DONE = "DONE"


# A seat is taken in every status but one. Written out, not as a parameter, so that PostgreSQL sees that the partial
# index below answers it.
ACTIVE = text("status <> 'CANCELED'")

ACTIVE_SEAT = "uq_bookings_active_seat"

# What managers and sellers see: a seat that nobody has paid for yet is no booking to them.
SOLD = text("status <> 'PENDING' AND NOT is_deleted")

_NOT_DELETED = text("NOT is_deleted")


class Booking(Audited, Base):
    """One seat, in one show, for one person.

    That no two of them hold one seat is due to a unique index, the last judge; the lock only spares it the crowd.
    """

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("status IN ('PENDING', 'CONFIRMED', 'CANCEL_REQUESTED', 'CANCELED')", name="status"),
        CheckConstraint("price > 0", name="price"),
        CheckConstraint("seat_row > 0 AND seat_column > 0", name="seat"),
        CheckConstraint("status = 'CANCELED' OR NOT is_deleted", name="deleted_when_canceled"),
        Index(ACTIVE_SEAT, "schedule_id", "seat_row", "seat_column", unique=True, postgresql_where=ACTIVE),
        Index("ix_bookings_user_id", "user_id", postgresql_where=_NOT_DELETED),
        Index("ix_bookings_sold_concert_id", "concert_id", postgresql_where=SOLD),
        Index("ix_bookings_payment_id", "payment_id", postgresql_where=text("payment_id IS NOT NULL")),
        Index("ix_bookings_pending_expires_at", "expires_at", postgresql_where=text("status = 'PENDING'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    concert_id: Mapped[int] = mapped_column(BigInteger, comment="in concert-service")
    schedule_id: Mapped[int] = mapped_column(BigInteger, comment="in concert-service")
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"), comment="the latest that covers it")
    price: Mapped[int] = mapped_column(comment="won, as it was when booked")
    status: Mapped[str] = mapped_column(String(16))
    seat_row: Mapped[int]
    seat_column: Mapped[int]
    expires_at: Mapped[datetime | None] = mapped_column(
        comment="when a pending booking is given up; null while its payment is being confirmed, and afterwards"
    )


class Payment(Audited, Base):
    """One payment for the seats of one show; its bookings point at it."""

    __tablename__ = "payments"
    __table_args__ = (
        CheckConstraint("status IN ('WAITING', 'COMPLETED', 'FAILED', 'CANCELED')", name="status"),
        CheckConstraint("total_price > 0", name="total_price"),
        CheckConstraint("status <> 'COMPLETED' OR payment_key IS NOT NULL", name="completed_with_key"),
        CheckConstraint(
            "confirm_due_at IS NULL OR (status = 'WAITING' AND payment_key IS NOT NULL AND order_id IS NOT NULL)",
            name="confirming",
        ),
        CheckConstraint("status = 'CANCELED' OR NOT is_deleted", name="deleted_when_canceled"),
        Index("ix_payments_user_id", "user_id", postgresql_where=_NOT_DELETED),
        Index("ix_payments_concert_id", "concert_id", postgresql_where=_NOT_DELETED),
        Index("ix_payments_confirm_due_at", "confirm_due_at", postgresql_where=text("confirm_due_at IS NOT NULL")),
        # What a buyer agreed to once pays for one payment, unless the provider has refused it.
        Index("uq_payments_payment_key", "payment_key", unique=True, postgresql_where=text("status <> 'FAILED'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    concert_id: Mapped[int] = mapped_column(BigInteger, comment="in concert-service")
    schedule_id: Mapped[int] = mapped_column(BigInteger, comment="in concert-service")
    total_price: Mapped[int] = mapped_column(BigInteger, comment="won")
    status: Mapped[str] = mapped_column(String(16))
    payment_key: Mapped[str | None] = mapped_column(String(200), comment="the provider's name for it")
    order_id: Mapped[str | None] = mapped_column(String(64), comment="our name for it at the provider")
    card: Mapped[str | None] = mapped_column(String(32), comment="masked number")
    problem: Mapped[str | None] = mapped_column(String(100), comment="the provider's reason for a failure")
    confirm_due_at: Mapped[datetime | None] = mapped_column(
        comment="set while the provider may have the money without our knowing: when to ask it again"
    )
    confirm_attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))


class Refund(Audited, Base):
    """The intent to give money back, for one booking as a rule, and whether the provider has done it."""

    __tablename__ = "refunds"
    __table_args__ = (
        CheckConstraint("status IN ('REQUESTED', 'DONE')", name="status"),
        CheckConstraint("amount > 0", name="amount"),
        Index("ix_refunds_due_at", "due_at", postgresql_where=text("status = 'REQUESTED'")),
        Index("ix_refunds_payment_id", "payment_id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    payment_id: Mapped[int] = mapped_column(ForeignKey("payments.id"))
    booking_id: Mapped[int | None] = mapped_column(
        ForeignKey("bookings.id"), unique=True, comment="null: a whole payment, which had failed before its money came"
    )
    amount: Mapped[int] = mapped_column(BigInteger, comment="won")
    idempotency_key: Mapped[str] = mapped_column(String(64), unique=True, comment="sent to the provider")
    status: Mapped[str] = mapped_column(String(16), default=RefundStatus.REQUESTED, server_default=text("'REQUESTED'"))
    transaction_key: Mapped[str | None] = mapped_column(String(64), comment="the provider's, of the refund")
    problem: Mapped[str | None] = mapped_column(String(100), comment="why the last attempt failed")
    due_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), comment="when to ask the provider again, if nobody is on it"
    )
    attempts: Mapped[int] = mapped_column(default=0, server_default=text("0"))


class OutboxMessage(Base):
    """A message to be published, committed with the change that it tells of."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_unpublished", "id", postgresql_where=text("published_at IS NULL")),
        Index("ix_outbox_unpublished_key", "key", "id", postgresql_where=text("published_at IS NULL")),
        Index("ix_outbox_published_at", "published_at", postgresql_where=text("published_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), comment="messages of one key are published in order")
    body: Mapped[str] = mapped_column(Text, comment="JSON")
    request_id: Mapped[str] = mapped_column(String(64), comment="of the request that it comes from")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    published_at: Mapped[datetime | None]


class IdempotencyKey(Base):
    """The first answer to a request, for those who repeat it under the same key."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created_at", "created_at"),)

    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request_hash: Mapped[str] = mapped_column(String(64), comment="SHA-256 of method, path and body")
    status: Mapped[int | None] = mapped_column(SmallInteger, comment="HTTP status; null: begun, not answered yet")
    body: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Ticket(Base):
    """The outcome of a ticket: there is no row before there is one."""

    __tablename__ = "tickets"
    __table_args__ = (
        CheckConstraint("status IN ('DONE', 'FAILED', 'ABANDONED')", name="status"),
        CheckConstraint("(status = 'DONE') = (http_status IS NOT NULL AND body IS NOT NULL)", name="answered"),
        Index("ix_tickets_finished_at", "finished_at"),
    )

    ticket_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(String(16))
    http_status: Mapped[int | None] = mapped_column(SmallInteger, comment="null where nothing was answered")
    body: Mapped[str | None] = mapped_column(Text, comment="the answer, byte for byte")
    finished_at: Mapped[datetime] = mapped_column(server_default=func.now())
