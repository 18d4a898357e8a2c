"""Settings of the noop service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import ProcessSettings, Secret


class NoopSettings(ProcessSettings):
    model_config = SettingsConfigDict(env_prefix="NOOP_", frozen=True)

    port: int = Field(default=12061, ge=1, le=65535)
    identity_key: Secret = Field(validation_alias="IDENTITY_KEY")


def load_settings() -> NoopSettings:
    return NoopSettings()
