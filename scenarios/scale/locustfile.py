"""GET /concert-service/schedules/{id}, as fast as the answers come: the seat lookup's load as it is."""

from __future__ import annotations

from scenarios.seat_lookup.locustfile import SeatSeeker

__all__ = ["SeatSeeker"]
