"""POST /order-service/bookings, as fast as the answers come; no two requests for the same seat."""

from __future__ import annotations

from locust import task
from locust.exception import StopUser

from scenarios.client import PlatformUser
from scenarios.dataset import free_seat


class Buyer(PlatformUser):
    def on_start(self) -> None:
        super().on_start()
        self.booked = 0

    @task
    def book_the_next_seat(self) -> None:
        shows = len(self.plan.data["prices"])
        # Neighbours in time book different shows: client k takes the places k, k + users, k + 2 users … of one line.
        place = self.number + self.booked * self.plan.users
        self.booked += 1
        show, seat = place % shows, place // shows
        if seat >= self.plan.data["free_seats"]:
            raise StopUser  # sold out
        user = self.number % len(self.plan.tokens)
        body = {
            "scheduleId": show + 1,
            "userId": self.plan.data["user_ids"][user],
            "price": self.plan.data["prices"][show],
            "seat": [free_seat(seat)],
        }
        key = f"{self.plan.seed}-{self.number}-{self.booked}"
        self.change("POST", "/order-service/bookings", "POST /bookings", body, user=user, key=key)
