"""The bearer token: a JWT (RFC 7519), HS256, made by user-service and checked by the gateway."""

from __future__ import annotations

import time

import jwt

from common.errors import LoginRequired
from common.identity import Role, User

ALGORITHM = "HS256"
ISSUER = "user-service"
LIFETIME_SECONDS = 60 * 60


def issue_token(user: User, secret: str, *, now: float | None = None, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
    """A token for ``user`` that expires ``lifetime_seconds`` after ``now`` (seconds since the epoch)."""
    issued = int(time.time() if now is None else now)
    claims = {
        "userId": user.user_id,
        "email": user.email,
        "role": user.role.value,
        "iss": ISSUER,
        "iat": issued,
        "exp": issued + lifetime_seconds,
    }
    return jwt.encode(claims, secret, algorithm=ALGORITHM)


def verify_token(token: str, secret: str) -> tuple[User, float]:
    """The user that ``token`` names, and when it expires (seconds since the epoch).

    Raises:
        LoginRequired: the token is malformed, expired, or not made by this platform's user-service.
    """
    try:
        claims = jwt.decode(
            token, secret, algorithms=[ALGORITHM], issuer=ISSUER, options={"require": ["exp", "iat", "iss"]}
        )
        user = User(user_id=claims["userId"], email=claims["email"], role=Role(claims["role"]))
    except (jwt.InvalidTokenError, KeyError, ValueError) as problem:
        raise LoginRequired(f"token refused: {type(problem).__name__}") from problem
    if type(user.user_id) is not int or not isinstance(user.email, str):
        raise LoginRequired("token refused: claims of a wrong type")
    return user, float(claims["exp"])
