"""Settings of the processes that the gateway is compared with."""

from __future__ import annotations

from pydantic_settings import SettingsConfigDict

from common.settings import ProcessSettings


class RungSettings(ProcessSettings):
    model_config = SettingsConfigDict(env_prefix="RUNG_")

    upstream_url: str | None = None
    """Where the hop gets its answers; nothing else needs it."""


def load_settings() -> RungSettings:
    return RungSettings()
