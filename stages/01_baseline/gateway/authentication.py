"""Who the bearer token names. Verifying one costs about 50 µs, so verified tokens are remembered until they expire."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from common.errors import LoginRequired
from common.identity import User
from common.tokens import verify_token

_AUTHORIZATION = b"authorization"
_SCHEME = b"bearer "

# The platform's own tokens have about 250 characters; nothing much longer is worth decoding.
MAX_HEADER_BYTES = 4096


class TokenVerifier:
    """Checks ``Authorization`` headers; remembers the verified ones, the least recently used of them first to go.

    Only tokens that were verified are remembered, so that nobody can push out good ones with forged ones. A token
    is never believed at or after its ``exp``, remembered or not.

    Attributes:
        hits: checks that were answered from memory.
        misses: checks that needed a full verification, whatever it said.
    """

    def __init__(self, secret: str, *, size: int, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._size = size
        self._now = now
        self._verified: OrderedDict[bytes, tuple[User, float]] = OrderedDict()
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._verified)

    def user_of(self, headers: Sequence[tuple[bytes, bytes]]) -> User:
        """The user whom a request's headers name.

        Raises:
            LoginRequired: there is not exactly one ``Authorization`` header, or it holds no valid bearer token.
        """
        values = [value for name, value in headers if name == _AUTHORIZATION]
        if len(values) != 1:
            raise LoginRequired(f"{len(values)} Authorization headers")
        return self.verify(values[0])

    def verify(self, authorization: bytes) -> User:
        """The user whom the value of an ``Authorization`` header names; raises as ``user_of`` does."""
        remembered = self._verified.get(authorization)
        if remembered is not None:
            user, expires = remembered
            if expires > self._now():
                self.hits += 1
                self._verified.move_to_end(authorization)
                return user
            del self._verified[authorization]
        self.misses += 1
        user, expires = self._decode(authorization)
        self._remember(authorization, user, expires)
        return user

    def _decode(self, authorization: bytes) -> tuple[User, float]:
        if len(authorization) > MAX_HEADER_BYTES or authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise LoginRequired("no bearer token")
        return verify_token(authorization[len(_SCHEME) :].strip().decode("latin-1"), self._secret)

    def _remember(self, authorization: bytes, user: User, expires: float) -> None:
        self._verified[authorization] = (user, expires)
        if len(self._verified) > self._size:
            self._verified.popitem(last=False)
