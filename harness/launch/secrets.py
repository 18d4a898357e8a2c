"""The secrets of one run: made when it starts, handed to those who need them, written nowhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

_BYTES = 32


def _secret() -> str:
    return secrets.token_urlsafe(_BYTES)


@dataclass(frozen=True)
class Secrets:
    """What the processes of a stage share; ``repr`` shows none of it, so that no log does."""

    jwt: str = field(default_factory=_secret, repr=False)
    """Signs bearer tokens: user-service, gateway, and the harness, which mints tokens for its load."""
    identity: str = field(default_factory=_secret, repr=False)
    """Signs identity headers: gateway and services."""
    payment: str = field(default_factory=_secret, repr=False)
    """The merchant's key at the payment provider: order-service and the simulator."""
    seller_code: str = field(default_factory=_secret, repr=False)
    manager_code: str = field(default_factory=_secret, repr=False)
