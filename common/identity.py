"""Who is asking: the identity that the gateway vouches for, and the credential of one service towards another.

The gateway checks the client's token, drops every identity header the client sent, and signs its own. A service
believes nothing else: a request that reaches it directly, with forged headers or a replayed signature for another
path, is 401. See docs/decisions/0003-signed-identity.md.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, unquote

from common.errors import LoginRequired, NotAuthorized

USER_ID = b"x-user-id"
EMAIL = b"x-email"
ROLE = b"x-role"
SERVICE = b"x-service"
TIME = b"x-identity-time"
SIGNATURE = b"x-identity-signature"

# What only the gateway or a service may set. The gateway drops these from every client's request.
IDENTITY_HEADERS = frozenset({USER_ID, EMAIL, ROLE, SERVICE, TIME, SIGNATURE})

# A signature is checked on arrival, but under overload a request may wait in the socket's queue for a while.
MAX_AGE_SECONDS = 60


class Role(StrEnum):
    USER = "ROLE_USER"
    SELLER = "ROLE_SELLER"
    MANAGER = "ROLE_MANAGER"


@dataclass(frozen=True, slots=True)
class User:
    """A logged-in person, as their token says."""

    user_id: int
    email: str
    role: Role

    @property
    def is_manager(self) -> bool:
        return self.role is Role.MANAGER


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the platform that calls another one."""

    name: str


Caller = User | Service

_caller: ContextVar[Caller | None] = ContextVar("caller", default=None)


def set_caller(caller: Caller | None) -> None:
    """Names the caller of the request being served; done once, where the request enters the service."""
    _caller.set(caller)


def current_user_id() -> int | None:
    """The id of the person who is asking, for created_by and updated_by; None for services and sign-ups."""
    caller = _caller.get()
    return caller.user_id if isinstance(caller, User) else None


def require_user() -> User:
    """The person who is asking.

    Raises:
        LoginRequired: nobody is.
        NotAuthorized: the caller is a service.
    """
    caller = _caller.get()
    if caller is None:
        raise LoginRequired
    if isinstance(caller, Service):
        raise NotAuthorized
    return caller


def require_role(*roles: Role) -> User:
    """The person who is asking, who has one of ``roles``.

    Raises:
        LoginRequired: nobody is asking.
        NotAuthorized: they have another role.
    """
    user = require_user()
    if user.role not in roles:
        raise NotAuthorized
    return user


def require_self_or_manager(user_id: int) -> User:
    """The person who is asking, who is user ``user_id`` or a manager.

    Raises:
        LoginRequired: nobody is asking.
        NotAuthorized: they are somebody else.
    """
    user = require_user()
    if user.user_id != user_id and not user.is_manager:
        raise NotAuthorized
    return user


def require_service() -> Service:
    """The service that is asking.

    Raises:
        NotAuthorized: the caller is not a service of the platform.
    """
    caller = _caller.get()
    if not isinstance(caller, Service):
        raise NotAuthorized
    return caller


class Claims:
    """The headers that name a caller, and the lines that are signed for them."""

    __slots__ = ("headers", "lines")

    def __init__(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.headers = headers
        # Names are signed with values, so that a service's name can never pass for a user's id; a header value
        # cannot contain a newline, so fields cannot run into each other.
        self.lines = b"\n".join([b"%b:%b" % claim for claim in headers])


@lru_cache(maxsize=4096)
def _claims_of(caller: Caller) -> Claims:
    """Made once for each caller: the same people come again and again."""
    if isinstance(caller, Service):
        return Claims([(SERVICE, caller.name.encode())])
    email = quote(caller.email, safe="@+").encode()
    return Claims([(USER_ID, b"%d" % caller.user_id), (EMAIL, email), (ROLE, caller.role.value.encode())])


class IdentitySigner:
    """Signs and checks identity headers: HMAC-SHA-256 (RFC 2104) over caller, method, target and time.

    ``target`` is the path and query as the receiving service sees them.
    """

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def headers_for(self, caller: Caller, method: str, target: bytes) -> list[tuple[bytes, bytes]]:
        """The headers that vouch for ``caller`` on exactly this request, for the next minute."""
        now = b"%d" % time.time()
        claims = _claims_of(caller)
        return [*claims.headers, (TIME, now), (SIGNATURE, self._sign(claims, method, target, now))]

    def verify(self, headers: Mapping[bytes, bytes], method: str, target: bytes) -> Caller | None:
        """Whom the headers vouch for; None where they carry no identity at all.

        Raises:
            LoginRequired: an identity that is incomplete, too old, or not signed with the platform's key.
        """
        if IDENTITY_HEADERS.isdisjoint(headers):
            return None
        names = (SERVICE,) if SERVICE in headers else (USER_ID, EMAIL, ROLE)
        try:
            claims = Claims([(name, headers[name]) for name in names])
            issued, signature = headers[TIME], headers[SIGNATURE]
            if not issued.isdigit():
                raise ValueError("a time is digits")
            age = abs(int(time.time()) - int(issued))
        except (KeyError, ValueError) as missing:
            raise LoginRequired("incomplete identity headers") from missing
        if age > MAX_AGE_SECONDS:
            raise LoginRequired("identity signature too old")
        if not hmac.compare_digest(signature, self._sign(claims, method, target, issued)):
            raise LoginRequired("identity signature does not match")
        if names[0] is SERVICE:
            return Service(headers[SERVICE].decode())
        return User(int(headers[USER_ID]), unquote(headers[EMAIL].decode()), Role(headers[ROLE].decode()))

    def _sign(self, claims: Claims, method: str, target: bytes, issued: bytes) -> bytes:
        message = b"\n".join((claims.lines, method.encode(), target, issued))
        return hmac.digest(self._key, message, "sha256").hex().encode()
