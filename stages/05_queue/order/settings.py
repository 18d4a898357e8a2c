"""What order-service is told by its environment."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import Secret, ServiceSettings
from discovery.settings import DiscoverySettings


class OrderSettings(ServiceSettings, DiscoverySettings):
    """``ORDER_*``."""

    model_config = SettingsConfigDict(env_prefix="ORDER_", frozen=True)

    port: int = Field(default=12041, ge=1, le=65535)
    concert_service_url: str = "http://127.0.0.1:12031"
    user_service_url: str = "http://127.0.0.1:12021"

    hold_seconds: float = Field(default=300.0, gt=0, description="then a booking that nobody pays for is given up")
    sweep_seconds: float = Field(default=1.0, gt=0, description="how often bookings are given up and doubts settled")

    lease_seconds: float = Field(default=10.0, gt=0, description="how long a dead instance keeps others from its seats")
    lock_seconds: float = Field(default=1.0, gt=0, description="for the lock server's answer; then it is done without")
    seat_wait_seconds: float = Field(default=3.0, gt=0, description="for others who are at a seat; then it is 503")

    payment_api_url: str = "http://127.0.0.1:12051"
    payment_secret_key: Secret = Field(validation_alias="PAYMENT_SECRET_KEY", description="the merchant's, at Toss")
    checkout_url: str = Field(default="", description="the simulator, as a buyer's browser finds it, if elsewhere")
    payment_client_key: str = Field(default="", description="Toss's, for its widget; empty: the simulator's")
    provider_seconds: float = Field(default=10.0, gt=0, description="how long the payment provider may take")

    kafka_bootstrap: str = Field(default="127.0.0.1:9092", validation_alias="KAFKA_BOOTSTRAP")
    kafka_prefix: str = Field(default="", validation_alias="KAFKA_PREFIX", description="of every topic and group")
    kafka_replicas: int = Field(default=1, ge=1, description="brokers that hold each message")
    refund_attempts: int = Field(default=12, ge=1, description="then a refund is a dead letter; over some 3 minutes")
    replay_public_key: str = Field(validation_alias="REPLAY_PUBLIC_KEY", description="Ed25519: of who may replay")
    tickets_kept_seconds: float = Field(default=691_200.0, ge=3600, description="more than Kafka keeps records")


def load_settings() -> OrderSettings:
    """Raises pydantic's ``ValidationError`` where the environment lacks something."""
    return OrderSettings()  # the environment fills it
