"""GET /noop-service/constant, as fast as the answers come."""

from __future__ import annotations

from locust import task

from scenarios.client import PlatformUser


class Idler(PlatformUser):
    @task
    def get_the_constant(self) -> None:
        self.ask("GET", f"/noop-service/constant?bytes={self.plan.data['bytes']}", name="GET /constant")
