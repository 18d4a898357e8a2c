"""A simulator that tests share, and a way to start others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.supervise import Supervisor
from tests.payment_simulator.running import Simulator

StartSimulator = Callable[..., Simulator]


@pytest.fixture(scope="package")
def shared_simulator(supervisor: Supervisor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    simulator = Simulator(supervisor, tmp_path_factory.mktemp("payment"))
    try:
        simulator.await_ready()
        yield simulator
    finally:
        simulator.close()
        supervisor.release(simulator.process)


@pytest.fixture
def simulator(shared_simulator: Simulator) -> Iterator[Simulator]:
    """The shared one, without faults before and after the test."""
    yield shared_simulator
    shared_simulator.switch()


@pytest.fixture
def start_simulator(supervisor: Supervisor, tmp_path: Path) -> Iterator[StartSimulator]:
    """Starts one of the test's own, with ``PAYMENT_…`` settings; it may not come up."""
    started: list[Simulator] = []

    def start(**settings: str) -> Simulator:
        folder = tmp_path / f"simulator-{len(started)}"
        folder.mkdir()
        simulator = Simulator(supervisor, folder, **settings)
        started.append(simulator)
        return simulator

    yield start
    for simulator in started:
        simulator.close()
        supervisor.release(simulator.process)
