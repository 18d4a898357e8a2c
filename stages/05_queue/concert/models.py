"""The tables of concert-service.

Searching a name is a scan with ILIKE: an index for it (pg_trgm) would be an extension that a managed server may lack,
and a few thousand concerts are scanned in about a millisecond.
"""

from __future__ import annotations

from datetime import date, time

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, MetaData, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.database import NAMING, TYPES, Audited

_NOT_DELETED = text("NOT is_deleted")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = TYPES


class Concert(Audited, Base):
    """What a seller puts on, from its first to its last day."""

    __tablename__ = "concerts"
    __table_args__ = (
        CheckConstraint("name <> ''", name="name"),
        CheckConstraint("run_time > 0", name="run_time"),
        CheckConstraint("end_date >= start_date", name="dates"),
        CheckConstraint("price > 0", name="price"),
        Index("ix_concerts_user_id", "user_id", postgresql_where=_NOT_DELETED),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, comment="the seller")
    name: Mapped[str] = mapped_column(String(200))
    run_time: Mapped[int] = mapped_column(comment="minutes")
    start_date: Mapped[date]
    end_date: Mapped[date]
    price: Mapped[int] = mapped_column(comment="won, for one seat")
    image: Mapped[str] = mapped_column(String(2048), comment="URL, or empty")


class Venue(Audited, Base):
    """A hall with numbered rows of numbered seats; ``stage`` on the wire."""

    __tablename__ = "venues"
    __table_args__ = (
        CheckConstraint("row_count > 0", name="row_count"),
        CheckConstraint("column_count > 0", name="column_count"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    location: Mapped[str] = mapped_column(String(200))
    row_count: Mapped[int]
    column_count: Mapped[int]


class Schedule(Audited, Base):
    """One evening of a concert in a venue. It is deleted with either, so that a living one has both."""

    __tablename__ = "schedules"
    __table_args__ = (
        Index("ix_schedules_concert_id", "concert_id", postgresql_where=_NOT_DELETED),
        Index("ix_schedules_venue_id", "venue_id", postgresql_where=_NOT_DELETED),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    concert_id: Mapped[int] = mapped_column(ForeignKey("concerts.id"))
    venue_id: Mapped[int] = mapped_column(ForeignKey("venues.id"))
    concert_date: Mapped[date]
    concert_time: Mapped[time]
