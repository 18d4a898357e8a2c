"""One show on a running stage, its cache server, and what the cache has counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import httpx
import redis

from common.identity import Role
from harness.provision import Component, Infrastructure
from harness.supervise import ManagedProcess
from tests import plain
from tests.contract.client import Api
from tests.contract.making import CONCERTS, Maker, number
from tests.contract.ordering import metric
from tests.polling import until

PRICE = 1000


@dataclass(frozen=True)
class Theatre:
    make: Maker
    servers: Infrastructure
    """Those that are this theatre's own: all but PostgreSQL."""
    concert: Mapping[str, Any]
    venue: Mapping[str, Any]
    schedule: Mapping[str, Any]
    manager: Api

    @classmethod
    def opened(cls, make: Maker, servers: Infrastructure) -> Theatre:
        concert, venue = make.concert(price=PRICE), make.venue(row=50, col=50)
        return cls(make, servers, concert, venue, make.schedule(concert, venue), make.person(Role.MANAGER))

    @property
    def valkey(self) -> ManagedProcess:
        process = self.servers.server(Component.REDIS).process
        assert process is not None
        return process

    @cached_property
    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.servers.redis_url)

    def entries(self) -> list[bytes]:
        """The keys of all entries; no other stage uses this server."""
        return [key for key in self.redis.scan_iter("*:cache:*", count=10_000) if not key.endswith(b":generation")]

    @property
    def generation_key(self) -> bytes:
        (key,) = self.redis.scan_iter("*:cache:generation")
        return bytes(key)

    def counted(self, outcome: str, kind: str = "concert-page") -> float:
        """How many answers of a kind the cache has counted under this outcome."""
        return self.figure(f'concert_cache_requests_total{{kind="{kind}",outcome="{outcome}"}}')

    def loads(self, kind: str = "concert-page") -> float:
        """How often an answer of a kind has been made."""
        return self.figure(f'concert_cache_load_seconds_count{{kind="{kind}"}}')

    def figure(self, name: str) -> float:
        return metric(self.make.platform.service_urls["concert"], name)

    def is_remembering(self) -> bool:
        """Whether what is asked for twice is now found in the cache."""
        word = f"word {number()}"
        before = self.counted("hit", "concert-search")
        for _ in range(2):
            answer = self.manager.send("GET", f"{CONCERTS}/search", params={"concert-name": word})
            assert answer.status_code == 200, answer.text
        return until(lambda: self.counted("hit", "concert-search") > before, seconds=0.05)

    def heals(self) -> bool:
        """Whether the cache comes back without a hand."""
        return until(self.is_remembering)

    def concert_service_is_up(self) -> bool:
        try:
            return plain.get(self.make.platform.service_urls["concert"] + "/health/ready").status_code == 200
        except httpx.TransportError:
            return False
