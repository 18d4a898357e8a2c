"""What the gateway can be told; all of it is read from the environment under ``GATEWAY_``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints, field_validator
from pydantic_core import from_json
from pydantic_settings import NoDecode, SettingsConfigDict
from yarl import URL

from common.identity import MAX_AGE_SECONDS
from common.settings import Secret
from discovery.instances import split
from discovery.settings import DiscoverySettings

DEFAULT_SERVICE_URLS = {
    "user-service": "http://127.0.0.1:12021",
    "concert-service": "http://127.0.0.1:12031",
    "order-service": "http://127.0.0.1:12041",
}


def _from_json(value: object) -> object:
    return from_json(value) if isinstance(value, str) else value


# Decoded here and not by pydantic-settings, whose error for malformed JSON is not a ValidationError.
ServiceUrls = Annotated[dict[str, str], NoDecode, BeforeValidator(_from_json)]

BOOKING = "POST /bookings"


class GatewaySettings(DiscoverySettings):
    """Where the services are, and how long and how much the gateway waits for."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_")

    port: int = Field(default=12011, ge=1, le=65535)
    jwt_secret: Secret = Field(validation_alias="JWT_SECRET", description="user-service signs tokens with it")
    identity_key: Secret = Field(validation_alias="IDENTITY_KEY", description="shared by the gateway and the services")
    service_urls: ServiceUrls = Field(
        default=DEFAULT_SERVICE_URLS, description="first segment of a path to the address of its service"
    )
    connect_seconds: float = Field(default=2.0, gt=0, description="until a new connection to a service stands")
    answer_seconds: float = Field(
        default=30.0,
        gt=0,
        lt=MAX_AGE_SECONDS,
        description="for a whole answer, the wait for a pooled connection included, then 503; before that, as long "
        "again for a small body to arrive, then 408. A request is signed between the two waits, so that the second "
        "must be shorter than a signature's life",
    )
    connections_per_service: int = Field(
        default=128, ge=1, description="requests in flight at one instance; more wait here, in order of arrival"
    )
    idle_connection_seconds: float = Field(
        default=60.0, gt=0, description="an idle connection is kept this long; less than the services' 75 s"
    )
    token_cache_size: int = Field(default=50_000, ge=1, description="verified tokens that are remembered")
    queue_key: Secret = Field(validation_alias="QUEUE_KEY", description="signs tickets; not for services")
    replay_private_key: Secret = Field(validation_alias="REPLAY_PRIVATE_KEY", description="Ed25519, in base64url")
    kafka_bootstrap: str = Field(default="127.0.0.1:9092", validation_alias="KAFKA_BOOTSTRAP")
    kafka_prefix: str = Field(default="", validation_alias="KAFKA_PREFIX", description="of every topic and group")
    kafka_replicas: int = Field(default=1, ge=1, description="brokers that hold each record")
    kafka_seconds: float = Field(default=1.0, gt=0, description="how long Kafka may take to answer a request's turn")
    queue_partitions: int = Field(default=1, ge=1, description="one: the ticket's number is the place in line")
    queued_routes: frozenset[Annotated[str, StringConstraints(pattern=r"^[A-Z]+ /[\w/{}-]*$")]] = Field(
        default=frozenset({BOOKING}), description='of order-service: ["PATCH /bookings/cancel/{id}"]; []: none'
    )
    queue_window: int = Field(default=200, ge=1, le=1000, description="records that are under way at once")
    abandon_after_seconds: float = Field(default=0.0, ge=0, description="unseen owners are skipped; > 30; 0: never")
    dispatch_lanes: int = Field(default=4, ge=1, description="batches at once, each of other schedules than the rest")
    dispatch_attempts: int = Field(default=5, ge=1, description="that order-service fails at; then a ticket is FAILED")
    limit_at_most: int = Field(default=64, ge=1, description="queueable requests in flight")
    limit_at_least: int = Field(default=4, ge=1, description="as low as the limit adapts; the same: it is fixed")
    limit_milliseconds: float = Field(default=100.0, gt=0, description="latency that the adaptive limit steers towards")
    read_limit: int = Field(default=1000, ge=1, description="reads in flight; above it 503")
    change_limit: int = Field(default=1000, ge=1, description="all other requests in flight; above it 503")

    @field_validator("service_urls")
    @classmethod
    def _are_base_urls(cls, urls: dict[str, str]) -> dict[str, str]:
        for segment, url in ((segment, url) for segment, address in urls.items() for url in split(address)):
            parsed = URL(url)
            if parsed.scheme != "http" or not parsed.host or parsed.path != "/" or parsed.query_string:
                raise ValueError(f"{segment}: expected http://HOST:PORT without a path")
            if not segment or "/" in segment:
                raise ValueError(f"{segment!r} is not a path segment")
        return urls


def load_settings() -> GatewaySettings:
    """The settings of this process.

    Raises:
        pydantic.ValidationError: something is missing or wrong in the environment.
    """
    return GatewaySettings()
