"""Settings of the payment provider simulator, read from ``PAYMENT_…`` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from common.settings import ProcessSettings, Secret
from payment_simulator.faults import FaultProfile


class PaymentSettings(ProcessSettings):
    """Where it listens, whom it trusts, where its ledger is, and how slow and unreliable it is made."""

    model_config = SettingsConfigDict(env_prefix="PAYMENT_", frozen=True)

    port: int = Field(default=12051, ge=1, le=65535)
    # Shorter than a service's: what still hangs after that is a lost answer, which nobody will ever get.
    shutdown_seconds: int = Field(default=3, description="how long requests in flight may take to finish")

    secret_key: Secret = Field(description="the merchant's key: user name of Basic authentication, empty password")
    ledger: Path = Field(description="the SQLite file; made, with its folder, if it does not exist")
    checkout_seconds: float = Field(default=600.0, gt=0, description="a checkout not confirmed by then expires")

    seed: int = Field(default=1, description="of every drawn latency and fault")
    latency_median_ms: float = Field(default=600.0, ge=0, description="of a confirm or cancel; 0: none is made")
    latency_sigma: float = Field(
        default=0.35, ge=0, description="of the logarithm of the latency; 0: always the median"
    )
    decline_rate: float = Field(default=0.0, ge=0, le=1, description="confirms that the card issuer refuses")
    error_rate: float = Field(default=0.0, ge=0, le=1, description="500 before anything was done")
    lost_answer_rate: float = Field(default=0.0, ge=0, le=1, description="work done, answer never sent")

    def fault_profile(self) -> FaultProfile:
        """What is injected until ``PUT /simulator/faults`` says otherwise."""
        return FaultProfile(
            decline_rate=self.decline_rate,
            error_rate=self.error_rate,
            lost_answer_rate=self.lost_answer_rate,
            latency_median_ms=self.latency_median_ms,
            sigma=self.latency_sigma,
        )


def load_settings() -> PaymentSettings:
    return PaymentSettings()
