"""What user-service is told by its environment."""

from __future__ import annotations

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from common.settings import Secret, ServiceSettings


class UserSettings(ServiceSettings):
    """``USER_*``, and the secrets that are shared with the gateway."""

    model_config = SettingsConfigDict(env_prefix="USER_", frozen=True)

    port: int = Field(default=12021, ge=1, le=65535)
    jwt_secret: Secret = Field(validation_alias="JWT_SECRET", description="signs the tokens that the gateway checks")
    seller_code: SecretStr = Field(min_length=1, description="who knows it may sign up as a seller")
    manager_code: SecretStr = Field(min_length=1, description="who knows it may sign up as a manager")
    hashing_threads: int = Field(default=2, ge=1, description="passwords hashed at once; each takes 19 MiB")


def load_settings() -> UserSettings:
    """Raises pydantic's ``ValidationError`` where the environment lacks something."""
    return UserSettings()  # the environment fills it
