"""Where lists of instances come from: settings, DNS, or the registry, in which instances enter themselves.

The registry is a Redis hash for each service. A field is an instance's URL; its value is when the *lease* of the
instance was last renewed, and whether it is ready. All times are the server's own, so that no two clocks are ever
compared.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
from redis.exceptions import RedisError
from yarl import URL

from discovery.instances import Instance, Instances, end, split
from discovery.settings import DiscoverySettings

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
# Beats may be late where a small instance has much to do.
LEASE_SECONDS = 3.0
FORGOTTEN_SECONDS = 30.0
# How often lists are asked for.
LOOK_SECONDS = 0.5

_RENEW = """
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], ARGV[1], now[1] .. '.' .. string.format('%06d', now[2]) .. ' ' .. ARGV[2])
"""


class Registry:
    """Every method may raise ``RedisError`` or ``OSError``, and has an answer within a second or so."""

    def __init__(self, settings: DiscoverySettings) -> None:
        self._redis = settings.redis(BEAT_SECONDS)
        self._prefix = f"{settings.redis_prefix}instances:"
        self._renew = self._redis.register_script(_RENEW)

    async def close(self) -> None:
        await self._redis.aclose()

    async def renew(self, service: str, url: str, *, is_ready: bool) -> None:
        """Enters an instance with a new lease, or renews the one that it has."""
        await self._renew(keys=[self._prefix + service], args=[url, int(is_ready)])

    async def leave(self, service: str, url: str) -> None:
        """Whoever watches sees it within ``LOOK_SECONDS``."""
        await self._redis.hdel(self._prefix + service, url)

    async def listed(self, service: str) -> list[Instance]:
        """The instances of a service; those whose leases have ended are not ready, and forgotten after a while."""
        both = self._redis.pipeline()
        both.time()
        both.hgetall(self._prefix + service)
        (seconds, microseconds), entries = await both.execute()
        found = []
        for url, value in entries.items():
            renewed, is_ready = value.split()
            age = seconds + microseconds / 1e6 - float(renewed)
            if age < FORGOTTEN_SECONDS:
                found.append(Instance(url, is_ready == "1" and age <= LEASE_SECONDS, time.monotonic() - age))
            else:
                await self.leave(service, url)
        return found


@asynccontextmanager
async def registered(settings: DiscoverySettings, service: str) -> AsyncIterator[dict[str, Any]]:
    """Has this process in the registry, where there is one, for as long as the block runs and the process is reachable.

    Gives the application's lifespan state: what ``common.serve`` awaits before the process stops accepting.
    """
    if settings.discovery != "redis":
        yield {}
        return
    registry = Registry(settings)
    url = settings.instance_url or f"http://{settings.host}:{settings.port}"
    beating = asyncio.create_task(_beat(registry, service, url))

    async def leave() -> None:
        """Returns when nobody sends anything here any more; what comes until then is still answered."""
        await end(beating)
        with suppress(RedisError, OSError):  # then the lease ends by itself
            await registry.leave(service, url)
        await asyncio.sleep(2 * LOOK_SECONDS)  # until all have looked, and what they sent before has arrived

    try:
        yield {"before_shutdown": leave}
    finally:
        await end(beating)
        await registry.close()


async def _beat(registry: Registry, service: str, url: str) -> None:
    """Renews the lease, from when this process first answers at ``url``, with what it says there of its readiness."""
    is_ready: bool | None = None
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=BEAT_SECONDS)) as session:
        while True:
            # No answer in time changes nothing: who is slow from work is not to be left by those who bring it.
            with suppress(aiohttp.ClientError, TimeoutError):
                async with session.get(f"{url}/health/ready") as answer:
                    is_ready = answer.status == 200
            with suppress(RedisError, OSError):  # whoever looks is told so, and says it
                if is_ready is not None:
                    await registry.renew(service, url, is_ready=is_ready)
            await asyncio.sleep(0.05 if is_ready is None else BEAT_SECONDS)


class Discovery:
    """The services that this process asks, by name, each with its instances.

    A source that does not answer changes nothing: the last known lists stay in use, and it is asked again.
    """

    def __init__(self, settings: DiscoverySettings, addresses: Mapping[str, str]) -> None:
        """``addresses``, by service, are where instances are looked for until others are listed."""
        self.settings = settings
        self.services = {service: Instances(service, address) for service, address in addresses.items()}
        self._addresses = addresses
        self._registry = Registry(settings)
        self._list = {"redis": self._registry.listed, "dns": self._resolved}.get(settings.discovery)
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        """Returns with the first lists, or when it is plain that there are none now."""
        await self._look()
        self._tasks.append(asyncio.create_task(self._watch()))

    async def close(self) -> None:
        await end(*self._tasks)
        await self._registry.close()
        for instances in self.services.values():
            await instances.close()

    async def _watch(self) -> None:
        while self._list is not None:
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    async def _look(self) -> None:
        try:
            for service, instances in self.services.items():
                if self._list is not None:
                    instances.update(await self._list(service))
        except (RedisError, OSError) as problem:
            logger.warning("no lists of instances: %s: %s", type(problem).__name__, problem)

    async def _resolved(self, service: str) -> list[Instance]:
        loop, found = asyncio.get_running_loop(), []
        for url in map(URL, split(self._addresses[service])):
            records = await loop.getaddrinfo(url.host, url.port, family=socket.AF_INET, type=socket.SOCK_STREAM)
            found += [Instance(str(url.with_host(str(where[0])).origin())) for *_, where in records]
        return found
