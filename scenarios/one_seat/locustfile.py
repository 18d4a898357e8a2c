"""POST /order-service/bookings, once a client, all for one seat at one moment."""

from __future__ import annotations

from locust import task

from scenarios.client import PlatformUser


class Rusher(PlatformUser):
    @task
    def want_the_seat(self) -> None:
        user = self.number % len(self.plan.tokens)
        body = {**self.plan.data["booking"], "userId": self.plan.data["user_ids"][user]}
        self.change(
            "POST", "/order-service/bookings", "POST /bookings", body, user=user, key=f"{self.plan.keys}-{self.number}"
        )
