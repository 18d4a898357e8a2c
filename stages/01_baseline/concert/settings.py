"""What concert-service is told by its environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings


class ConcertSettings(ServiceSettings):
    """``CONCERT_*``."""

    model_config = SettingsConfigDict(env_prefix="CONCERT_", frozen=True)

    port: int = Field(default=12031, ge=1, le=65535)
    order_service_url: str = "http://127.0.0.1:12041"


def load_settings() -> ConcertSettings:
    """Raises pydantic's ``ValidationError`` where the environment lacks something."""
    return ConcertSettings()  # the environment fills it
