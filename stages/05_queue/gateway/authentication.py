"""Who the bearer token names. Verifying one costs about 50 µs, so verified tokens are remembered until they expire."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from common.errors import LoginRequired
from common.identity import User
from common.tokens import verify_token

_AUTHORIZATION = b"authorization"
_SCHEME = b"bearer"

# A JWT in its compact form (RFC 7515, 7.1), and nothing that a lenient decoder would take for one: the same token in
# other words would be remembered once for each of them.
_TOKEN = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

# The platform's own tokens have about 250 characters; nothing much longer is worth decoding, or remembering.
MAX_TOKEN_BYTES = 1024


class TokenVerifier:
    """Checks ``Authorization`` headers; remembers the verified ones, the least recently used of them first to go.

    Only tokens that were verified are remembered, so that nobody can push out good ones with forged ones; they are
    bounded in number and in length, and so in memory. A token is never believed at or after its ``exp``, remembered
    or not.

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
        scheme, _, rest = authorization.partition(b" ")
        if scheme.lower() != _SCHEME:
            raise LoginRequired("no bearer token")
        token = rest.lstrip(b" ")
        remembered = self._verified.get(token)
        if remembered is not None:
            user, expires = remembered
            if expires > self._now():
                self.hits += 1
                self._verified.move_to_end(token)
                return user
            del self._verified[token]
        self.misses += 1
        if len(token) > MAX_TOKEN_BYTES or not _TOKEN.fullmatch(token):
            raise LoginRequired("no token of this platform")
        user, expires = verify_token(token.decode("ascii"), self._secret)
        self._remember(token, user, expires)
        return user

    def _remember(self, token: bytes, user: User, expires: float) -> None:
        self._verified[token] = (user, expires)
        if len(self._verified) > self._size:
            self._verified.popitem(last=False)
