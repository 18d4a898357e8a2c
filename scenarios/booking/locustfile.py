"""POST /order-service/bookings, as fast as the answers come; no two requests for the same seat."""

from __future__ import annotations

from locust import task
from locust.exception import StopUser

from scenarios.client import PlatformUser
from scenarios.dataset import free_seat

STRIDE = 1_009
"""A prime that divides no data set's number of shows."""


class Buyer(PlatformUser):
    def on_start(self) -> None:
        super().on_start()
        self.booked = 0

    @task
    def book_the_next_seat(self) -> None:
        shows = len(self.plan.data["prices"])
        # Client k takes the places k, k + users, k + 2 users … of one line, in which every show comes once before any
        # comes again. The stride makes neighbours in the line no neighbours in the shows: nobody shops in order of id.
        place = self.number + self.booked * self.plan.users
        self.booked += 1
        show, seat = place * STRIDE % shows, place // shows
        if seat >= self.plan.data["free_seats"]:
            raise StopUser  # sold out
        user = self.number % len(self.plan.tokens)
        body = {
            "scheduleId": show + 1,
            "userId": self.plan.data["user_ids"][user],
            "price": self.plan.data["prices"][show],
            "seat": [free_seat(seat)],
        }
        key = f"{self.plan.keys}-{self.number}-{self.booked}"
        self.change("POST", "/order-service/bookings", "POST /bookings", body, user=user, key=key)
