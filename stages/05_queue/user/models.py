"""The tables of user-service."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, MetaData, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.database import NAMING, TYPES, Audited

_NOT_DELETED = text("NOT is_deleted")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = TYPES


class User(Audited, Base):
    """A person with an account.

    Email, nickname and phone are unique among the living: who left may come back under the same email.
    """

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('ROLE_USER', 'ROLE_SELLER', 'ROLE_MANAGER')", name="role"),
        # Checked in this order, so a sign-up that clashes twice is told of its email first.
        Index("uq_users_email", "email", unique=True, postgresql_where=_NOT_DELETED),
        Index("uq_users_nickname", "nickname", unique=True, postgresql_where=_NOT_DELETED),
        Index("uq_users_phone", "phone", unique=True, postgresql_where=_NOT_DELETED),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(String(254))
    nickname: Mapped[str] = mapped_column(String(10))
    phone: Mapped[str] = mapped_column(String(11))
    profile_image: Mapped[str] = mapped_column(String(2048))
    password_hash: Mapped[str] = mapped_column(String(255))
    role: Mapped[str] = mapped_column(String(16))
