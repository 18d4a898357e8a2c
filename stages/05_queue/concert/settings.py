"""What concert-service is told by its environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings
from discovery.settings import DiscoverySettings


class ConcertSettings(ServiceSettings, DiscoverySettings):
    """``CONCERT_*``."""

    model_config = SettingsConfigDict(env_prefix="CONCERT_", frozen=True)

    port: int = Field(default=12031, ge=1, le=65535)
    order_service_url: str = "http://127.0.0.1:12041"

    cache_seconds: float = Field(default=0.5, gt=0, description="for an answer; then it is done without")


def load_settings() -> ConcertSettings:
    """Raises pydantic's ``ValidationError`` where the environment lacks something."""
    return ConcertSettings()  # the environment fills it
