"""Seat locks on a real database and a real Valkey, each test with seats of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from itertools import count

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from harness.provision import Component, Infrastructure, provision
from harness.supervise import Supervisor
from order.settings import OrderSettings
from tests.unit.stages.order.seat_locks.ground import SHORT, Ground, Instance

_schedules = count(1)

InGround = Callable[..., None]
"""Runs a test with a ground; keyword arguments are settings of the instances."""


@pytest.fixture(scope="package")
def lock_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Infrastructure]:
    """A Valkey of these tests' own, to be held up."""
    logs = tmp_path_factory.mktemp("lock-server")
    with Supervisor("lock-units") as owner, provision("embedded", owner, log_folder=logs, report=print) as ours:
        ours.ensure(Component.REDIS)
        yield ours


@pytest.fixture
def in_ground(orders: str, lock_server: Infrastructure) -> InGround:
    def run(test: Callable[[Ground], Awaitable[None]], **changes: object) -> None:
        schedule_id = next(_schedules)
        settings = OrderSettings.model_validate(
            {
                "IDENTITY_KEY": "k" * 32, "PAYMENT_SECRET_KEY": "s" * 32, "database_url": orders,
                "REDIS_URL": lock_server.redis_url, "REDIS_PREFIX": f"unit{schedule_id}:", **SHORT, **changes,
            }
        )  # fmt: skip

        async def opened() -> None:
            async with AsyncExitStack() as stack:
                instances = (Instance(settings), Instance(settings))
                for instance in instances:
                    await stack.enter_async_context(instance.opened())
                redis = await stack.enter_async_context(Redis.from_url(lock_server.redis_url))
                ground = Ground(schedule_id, instances, redis, f"unit{schedule_id}:seat:")
                try:
                    await asyncio.wait_for(test(ground), 60)
                finally:
                    await instances[0].run(text("DELETE FROM bookings"))

        asyncio.run(opened())

    return run
