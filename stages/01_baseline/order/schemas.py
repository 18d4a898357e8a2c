"""What order-service takes and gives on the wire."""

from __future__ import annotations

from common.wire import WireModel


class ActiveBookingsView(WireModel):
    """The bookings of one schedule that hold a seat: how many, and the last row and column among them."""

    schedule_id: int
    count: int
    max_row: int
    max_col: int
