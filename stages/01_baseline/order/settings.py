"""What order-service is told by its environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import ServiceSettings


class OrderSettings(ServiceSettings):
    """``ORDER_*``."""

    model_config = SettingsConfigDict(env_prefix="ORDER_", frozen=True)

    port: int = Field(default=12041, ge=1, le=65535)


def load_settings() -> OrderSettings:
    """Raises pydantic's ``ValidationError`` where the environment lacks something."""
    return OrderSettings()  # the environment fills it
