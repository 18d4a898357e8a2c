"""What concert-service is told by its environment."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings


class ConcertSettings(ServiceSettings):
    """``CONCERT_*``."""

    model_config = SettingsConfigDict(env_prefix="CONCERT_", frozen=True)

    port: int = Field(default=12031, ge=1, le=65535)
    order_service_url: str = "http://127.0.0.1:12041"

    redis_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), validation_alias="REDIS_URL")
    redis_prefix: str = Field(default="", validation_alias="REDIS_PREFIX", description="of every key")
    cache_seconds: float = Field(default=0.5, gt=0, description="for an answer; then it is done without")


def load_settings() -> ConcertSettings:
    """Raises pydantic's ``ValidationError`` where the environment lacks something."""
    return ConcertSettings()  # the environment fills it
