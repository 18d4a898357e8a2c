"""Replay tokens: who may hand a service requests that were queued.

Every service knows the key of the identity headers, and could make any. A replay names people who are not there to
speak for themselves: its token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037) by those who alone have the private
key. It is good for one request, to the last byte of its body, once, and for some seconds. One serves a whole batch:
making and checking it cost some 200 µs together. Key texts are 32 bytes in base64url.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from base64 import urlsafe_b64decode

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from jwt.types import Options
from prometheus_client import Counter

from common.errors import NotAuthorized

REPLAY_TOKEN = "x-replay-token"

REFUSED = Counter("replays_refused", "Replays that were refused, by what was wrong with their token.", ["reason"])

# How long a token is good for, and how far the clocks of two machines may be apart.
LIFE_SECONDS, LEEWAY_SECONDS = 15, 5
# Used tokens are remembered until they have expired. Only those with a good signature are: no stranger fills this.
REMEMBERED = 100_000


def _digest(method: str, target: bytes, body: bytes) -> str:
    return hashlib.sha256(b"%b %b\n%b" % (method.encode(), target, body)).hexdigest()


class ReplaySigner:
    """Makes replay tokens."""

    def __init__(self, key_text: str) -> None:
        """Raises ValueError: it is no private key."""
        self._key = Ed25519PrivateKey.from_private_bytes(urlsafe_b64decode(key_text))

    def token(self, method: str, target: bytes, body: bytes) -> str:
        """A token for exactly this request; each attempt at it needs another one."""
        now = int(time.time())
        claims = {"sub": "replay", "jti": secrets.token_urlsafe(12), "iat": now, "exp": now + LIFE_SECONDS}
        return jwt.encode({**claims, "request": _digest(method, target, body)}, self._key, algorithm="EdDSA")


class ReplayGuard:
    """Lets a request in whose token is all right, once.

    Another instance of the service does not know which tokens this one has seen. It need not: what is replayed at both
    is done once all the same, since its tickets have one outcome.
    """

    def __init__(self, public_key_text: str) -> None:
        """Raises ValueError: it is no public key."""
        self._key = Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(public_key_text))
        self._used: dict[str, float] = {}  # until when, by the clock on the wall; in the order in which they came

    def admit(self, token: str, method: str, target: bytes, body: bytes) -> None:
        """Raises NotAuthorized: the token is missing, forged, expired, used before, or another request's."""
        if reason := self._problem(token, _digest(method, target, body)):
            REFUSED.labels(reason).inc()
            raise NotAuthorized(f"replay token: {reason}")

    def _problem(self, token: str, request: str) -> str | None:
        required: Options = {"require": ["jti", "iat", "exp", "sub", "request"]}
        try:
            claims = jwt.decode(token, self._key, ["EdDSA"], required, leeway=LEEWAY_SECONDS, subject="replay")
        except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError):
            return "expired"
        except jwt.InvalidTokenError:
            return "forged" if token else "missing"
        if not 0 < claims["exp"] - claims["iat"] <= LIFE_SECONDS:
            return "expired"
        if claims["request"] != request:
            return "other request"
        return None if self._is_new(claims["jti"], claims["exp"] + LEEWAY_SECONDS) else "used before"

    def _is_new(self, token_id: str, until: float) -> bool:
        now = time.time()
        while self._used and next(iter(self._used.values())) < now:
            del self._used[next(iter(self._used))]
        if token_id in self._used or len(self._used) >= REMEMBERED:
            return False
        self._used[token_id] = until
        return True
