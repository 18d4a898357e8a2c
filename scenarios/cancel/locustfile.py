"""PATCH /order-service/bookings/cancel/{id}, each booking once, by its owner."""

from __future__ import annotations

from locust import task
from locust.exception import StopUser

from scenarios.client import PlatformUser


class Canceler(PlatformUser):
    def on_start(self) -> None:
        super().on_start()
        self.canceled = 0

    @task
    def cancel_the_next_booking(self) -> None:
        place = self.number + self.canceled * self.plan.users
        self.canceled += 1
        owners = self.plan.data["owners"]
        if place >= len(owners):
            raise StopUser  # nothing left to cancel
        booking = place + 1
        self.change(
            "PATCH", f"/order-service/bookings/cancel/{booking}", "PATCH /bookings/cancel/{id}", user=owners[place]
        )
