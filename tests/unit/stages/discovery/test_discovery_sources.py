"""Where lists of instances come from: settings, DNS, and the registry on a real Valkey."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
from aiohttp import web

from discovery.settings import DiscoverySettings
from discovery.sources import FORGOTTEN_SECONDS, LEASE_SECONDS, Discovery, Registry, registered
from harness.provision import Component, Infrastructure, provision
from harness.supervise import Supervisor, free_port
from tests.unit.answering import answering

SERVICE = "order-service"
HASH = f"units:instances:{SERVICE}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """A Valkey of these tests' own."""
    logs = tmp_path_factory.mktemp("discovery-servers")
    with Supervisor("discovery-units") as owner, provision("embedded", owner, log_folder=logs, report=print) as ours:
        ours.ensure(Component.REDIS)
        yield ours


@pytest.fixture
def settings(server: Infrastructure, monkeypatch: pytest.MonkeyPatch) -> DiscoverySettings:
    """Of a process that uses the registry, which is empty."""
    redis.Redis.from_url(server.redis_url).flushall()
    values = {"DISCOVERY": "redis", "REDIS_URL": server.redis_url, "REDIS_PREFIX": "units:", "PORT": str(free_port())}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return DiscoverySettings()


@asynccontextmanager
async def watching(settings: DiscoverySettings, address: str = "http://configured:1") -> AsyncIterator[Discovery]:
    discovery = Discovery(settings, {SERVICE: address})
    await discovery.open()
    try:
        yield discovery
    finally:
        await discovery.close()


async def becomes(discovery: Discovery, wanted: Callable[[dict[str, bool]], bool]) -> dict[str, bool]:
    """URL to whether it is ready, once that is as wanted, or in the end."""
    seen: dict[str, bool] = {}
    for _ in range(1000):
        seen = {one.url: one.is_ready for one in discovery.services[SERVICE]}
        if wanted(seen):
            break
        await asyncio.sleep(0.01)
    return seen


async def fine(_: web.Request) -> web.Response:
    return web.Response()


def test_static_addresses_need_no_server() -> None:
    async def run() -> None:
        async with watching(DiscoverySettings(port=1), "http://a:1,http://b:2") as discovery:
            assert [one.url for one in discovery.services[SERVICE]] == ["http://a:1", "http://b:2"]
            assert [one.renewed_at for one in discovery.services[SERVICE]] == [None, None]

    asyncio.run(run())


def test_dns_gives_all_addresses_of_a_name_and_follows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    records = {"orders": ["10.0.0.1", "10.0.0.2"]}

    async def resolve(_: Any, host: str, port: int, **__: Any) -> list[Any]:
        if host not in records:
            raise socket.gaierror(f"{host} is unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (record, port)) for record in records[host]]

    async def run() -> None:
        monkeypatch.setattr(type(asyncio.get_running_loop()), "getaddrinfo", resolve)
        monkeypatch.setenv("DISCOVERY", "dns")
        async with watching(DiscoverySettings(port=1), "http://orders:80") as discovery:
            both = {"http://10.0.0.1": True, "http://10.0.0.2": True}
            assert await becomes(discovery, both.__eq__) == both
            records["orders"] = ["10.0.0.2", "10.0.0.3"]
            moved = {"http://10.0.0.2": True, "http://10.0.0.3": True}
            assert await becomes(discovery, moved.__eq__) == moved
            del records["orders"]
            await asyncio.sleep(0.7)  # the name server fails
            assert await becomes(discovery, moved.__eq__) == moved

    asyncio.run(run())


def test_an_instance_enters_itself_when_it_listens_and_leaves_before_it_stops(settings: DiscoverySettings) -> None:
    async def run() -> None:
        async with watching(settings) as discovery, registered(settings, SERVICE) as state:
            await asyncio.sleep(0.2)  # nobody listens there yet
            assert list(await becomes(discovery, lambda seen: True)) == ["http://configured:1"]
            application = web.Application()
            application.router.add_get("/health/ready", fine)
            runner = web.AppRunner(application)
            await runner.setup()
            await web.TCPSite(runner, settings.host, settings.port).start()
            here = {f"http://{settings.host}:{settings.port}": True}
            assert await becomes(discovery, here.__eq__) == here
            registry = Registry(settings)
            await registry.renew(SERVICE, "http://other:1", is_ready=True)
            assert len(await becomes(discovery, lambda seen: len(seen) == 2)) == 2
            await state["before_shutdown"]()
            assert list(await becomes(discovery, lambda seen: True)) == ["http://other:1"]
            await registry.close()
            await runner.cleanup()

    asyncio.run(run())


def test_who_says_that_it_is_not_ready_is_left_out_and_comes_back(settings: DiscoverySettings) -> None:
    async def run() -> None:
        code = 503

        async def ready(request: web.Request) -> web.Response:
            assert request.path == "/health/ready"
            return web.Response(status=code)

        async with answering(ready) as url, watching(settings) as discovery:
            own = settings.model_copy(update={"instance_url": url.rstrip("/")})
            async with registered(own, SERVICE):
                assert await becomes(discovery, {own.instance_url: False}.__eq__) == {own.instance_url: False}
                code = 200
                assert await becomes(discovery, {own.instance_url: True}.__eq__) == {own.instance_url: True}

    asyncio.run(run())


def test_a_lease_ends_and_an_instance_that_is_gone_is_forgotten(settings: DiscoverySettings) -> None:
    async def run() -> None:
        async with watching(settings) as discovery:
            registry = Registry(settings)
            await registry.renew(SERVICE, "http://a:1", is_ready=True)
            assert await becomes(discovery, {"http://a:1": True}.__eq__) == {"http://a:1": True}
            assert await becomes(discovery, {"http://a:1": False}.__eq__) == {"http://a:1": False}
            (one,) = discovery.services[SERVICE]
            assert one.renewed_at is not None
            assert LEASE_SECONDS <= time.monotonic() - one.renewed_at < LEASE_SECONDS + 2
            with redis.Redis.from_url(settings.redis_url.get_secret_value()) as server:
                seconds, _ = server.time()
                server.hset(HASH, "http://a:1", f"{seconds - FORGOTTEN_SECONDS} 1")
                for _ in range(500):
                    if not server.hlen(HASH):
                        break
                    await asyncio.sleep(0.01)
                assert server.hlen(HASH) == 0
            await registry.close()

    asyncio.run(run())


def test_without_a_registry_a_process_starts_and_uses_what_it_is_told(settings: DiscoverySettings) -> None:
    async def run() -> None:
        down = settings.model_copy(update={"redis_url": type(settings.redis_url)("redis://127.0.0.1:1")})
        async with watching(down) as discovery:
            assert [one.url for one in discovery.services[SERVICE]] == ["http://configured:1"]

    asyncio.run(run())
