"""order-service's own parts on a real database and the provider's simulator, without its HTTP side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from typing import Any

import pytest

import order.refunds
from common.identity import IdentitySigner
from common.migrations import upgrade
from harness.launch import Secrets
from harness.provision import Infrastructure, create_database, drop_database
from harness.supervise import Supervisor
from order.resources import Resources
from order.settings import OrderSettings
from tests.payment_simulator.running import SECRET_KEY, Simulator
from tests.unit.stages.order.in_service import InService

# Where a consumer refunds, nobody waits for all refunds of a request; tests/async_cancel looks at what it does.
collect_ignore = [] if hasattr(order.refunds, "refund_all") else ["test_order_refunds.py"]

# A stage guards its seats in one way or the other.
_GUARDS = {"order.seat_guard": ["test_order_seat_guard.py"], "order.seat_lock": ["seat_locks"]}
collect_ignore += [test for guard, tests in _GUARDS.items() if find_spec(guard) is None for test in tests]


@pytest.fixture(autouse=True)
def _replay_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting without a default of the stage that has a queue; the others do not read it."""
    monkeypatch.setenv("REPLAY_PUBLIC_KEY", Secrets().replay_public_key)


@pytest.fixture(scope="module")
def simulator(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """The payment provider, without made latency."""
    running = Simulator(supervisor, tmp_path_factory.mktemp("provider"))
    try:
        running.await_ready()
        yield running
    finally:
        running.close()
        supervisor.release(running.process)


@pytest.fixture(scope="module")
def orders(infrastructure: Infrastructure) -> Iterator[str]:
    """The URL of an empty database of order-service."""
    url = create_database(infrastructure, "unit_orders")
    upgrade("order", url)
    yield url
    drop_database(infrastructure, "unit_orders")


@pytest.fixture
def in_service(orders: str, simulator: Simulator) -> InService:
    values: dict[str, Any] = {
        "IDENTITY_KEY": "k" * 32,
        "PAYMENT_SECRET_KEY": SECRET_KEY,
        "database_url": orders,
        "payment_api_url": simulator.url,
    }

    def run(work: Callable[[Resources], Awaitable[Any]]) -> Any:
        async def opened() -> Any:
            resources = Resources.of(OrderSettings(**values), IdentitySigner("k" * 32))
            async with resources.opened():
                return await work(resources)

        return asyncio.run(opened())

    return run
