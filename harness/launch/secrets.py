"""The secrets of one run: made when it starts, handed to those who need them, written nowhere."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
    queue: str = field(default_factory=_secret, repr=False)
    """Signs tickets: gateway and dispatcher."""
    replay: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate, repr=False)
    """Signs what is replayed: gateway and dispatcher have it, order-service its public half."""

    @cached_property
    def replay_private_key(self) -> str:
        return urlsafe_b64encode(self.replay.private_bytes_raw()).decode()

    @cached_property
    def replay_public_key(self) -> str:
        return urlsafe_b64encode(self.replay.public_key().public_bytes_raw()).decode()
