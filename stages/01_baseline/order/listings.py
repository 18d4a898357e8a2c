"""Lists of bookings and payments, page by page, with the names that concert-service and user-service know.

Each list costs at most one call for each filter, one read, and one call for the names on the page.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeVar

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select

from common.database import Rows
from common.identity import Role, require_role, require_self_or_manager
from common.paging import Page, PageQuery, PageRequest
from common.wire import WireModel
from order.models import SOLD, Booking, Payment
from order.resources import Resources
from order.schemas import BookingRow, BookingView, PaymentRow, PaymentView
from order.seats import SEAT

R = TypeVar("R", bound=WireModel)


@dataclass(frozen=True)
class Filter:
    """What a list is narrowed to; None: not at all."""

    seller_id: int | None = None
    nickname: str | None = None
    concert_name: str | None = None
