"""Settings that every process has; each service adds its own in its ``settings.py``.

They are read from the environment under the service's prefix (``USER_PORT``, ``CONCERT_DATABASE_URL``), so that one
environment can describe a whole stage. What is shared by several services (``IDENTITY_KEY``) has no prefix.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

MIN_SECRET_CHARACTERS = 32

Secret = Annotated[SecretStr, Field(min_length=MIN_SECRET_CHARACTERS)]


def _for_sqlalchemy(url: object) -> object:
    """``postgresql://…``, as everybody writes it, with the driver that the platform uses."""
    return url.replace("postgresql://", "postgresql+asyncpg://", 1) if isinstance(url, str) else url


DatabaseUrl = Annotated[str, BeforeValidator(_for_sqlalchemy)]


class ProcessSettings(BaseSettings):
    """Where a process listens and what it logs."""

    model_config = SettingsConfigDict(frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    log_level: str = "INFO"
    shutdown_seconds: int = Field(default=10, description="how long requests in flight may take to finish")
    max_body_bytes: int = Field(default=1_048_576, description="a larger request body is refused")


class ServiceSettings(ProcessSettings):
    """What a service with a database needs."""

    identity_key: Secret = Field(validation_alias="IDENTITY_KEY", description="shared by the gateway and the services")
    database_url: DatabaseUrl = Field(repr=False, description="postgresql://user:password@host:port/name")
    database_pool_size: int = Field(default=10, ge=1)
    database_pool_wait_seconds: float = Field(default=5.0, description="then the answer is 503")
    database_statement_seconds: float = Field(default=10.0, description="then the server ends the statement")
