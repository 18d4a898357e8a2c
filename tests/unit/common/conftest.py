"""A database of its own for a test, and a service's pool at it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.database import Database
from common.settings import ServiceSettings
from harness.provision import Infrastructure, create_database, drop_database
from tests.unit.common.pools import POOL_SIZE, Connect


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    def make(url: str, **session_parameters: str) -> Database:
        settings = {"IDENTITY_KEY": "k" * 32, "PORT": "1", "DATABASE_URL": url, "DATABASE_POOL_SIZE": str(POOL_SIZE)}
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        return Database(ServiceSettings(), session_parameters=session_parameters)

    return make


@pytest.fixture
def url(infrastructure: Infrastructure) -> Iterator[str]:
    yield create_database(infrastructure, "statements")
    drop_database(infrastructure, "statements")
