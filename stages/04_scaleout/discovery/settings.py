"""What every process is told about finding others and being found."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, SecretStr
from redis.asyncio import Redis

from common.redis_client import redis_client
from common.settings import ProcessSettings


class DiscoverySettings(ProcessSettings):
    """An *address* is a base URL, or several with commas between them.

    Lists of instances are the configured addresses (``static``), all A records of their hosts (``dns``, as a headless
    service of Kubernetes has them), or what the instances enter themselves in the registry (``redis``).
    """

    discovery: Literal["static", "redis", "dns"] = Field(default="static", validation_alias="DISCOVERY")
    instance_url: str = Field(default="", validation_alias="INSTANCE_URL", description="of this process, for others")
    redis_url: SecretStr = Field(default=SecretStr("redis://127.0.0.1:6379/0"), validation_alias="REDIS_URL")
    redis_prefix: str = Field(default="", validation_alias="REDIS_PREFIX", description="of every key")

    def redis(self, patience_seconds: float) -> Redis:
        """A client that asks once, and waits no longer than that for a connection and then for an answer."""
        return redis_client(self.redis_url.get_secret_value(), patience_seconds, decode_responses=True)
