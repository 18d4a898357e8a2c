"""GET /concert-service/concerts, as fast as the answers come."""

from __future__ import annotations

from locust import task

from scenarios.client import PlatformUser


class Browser(PlatformUser):
    @task
    def open_a_page(self) -> None:
        page = self.random.randrange(self.plan.data["pages"])
        size = self.plan.data["size"]
        self.ask("GET", f"/concert-service/concerts?page={page}&size={size}", name="GET /concerts")
