"""GET /concert-service/schedules/{id}, as fast as the answers come."""

from __future__ import annotations

from locust import task

from scenarios.client import PlatformUser


class SeatSeeker(PlatformUser):
    @task
    def look_at_seats(self) -> None:
        schedule = self.random.choice(self.plan.data["schedules"])
        self.ask("GET", f"/concert-service/schedules/{schedule}", name="GET /schedules/{id}")
