"""Fixtures of the provisioning tests: real servers, and a place for run records that is the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.provision import Component, Infrastructure, provision
from harness.supervise import STATE_VARIABLE, Supervisor


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keeps a test's sweeps away from the runs of whoever works on this machine; returns the records' folder."""
    folder = tmp_path / "state"
    monkeypatch.setenv(STATE_VARIABLE, str(folder))
    return folder / "runs"


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor("test") as owner:
        yield owner


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, logs: Path) -> Iterator[Infrastructure]:
    """All three, started once for a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(STATE_VARIABLE, str(tmp_path_factory.mktemp("state")))
        with Supervisor("test") as owner, provision("embedded", owner, log_folder=logs, report=print) as infrastructure:
            infrastructure.ensure(*Component)
            yield infrastructure
