"""``Authorization`` values that must open nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt

from common.identity import Role, User
from common.tokens import issue_token

Credential = Callable[[str], str | bytes | None]
"""From the platform's own secret to the value of the header; None for no header at all."""

SOMEBODY = User(1, "somebody@example.com", Role.MANAGER)


def _claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    claims = {
        "userId": 1, "email": "somebody@example.com", "role": "ROLE_MANAGER", "iss": "user-service", "iat": now,
        "exp": now + 3600,
    }  # fmt: skip
    return {name: value for name, value in (claims | changes).items() if value is not ...}


def _segment(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def good(secret: str) -> str:
    return issue_token(SOMEBODY, secret)


def _signed(**changes: Any) -> Credential:
    """Signed with the right secret, but with claims that the contract does not know."""
    return lambda secret: f"Bearer {jwt.encode(_claims(**changes), secret, algorithm='HS256')}"


def _unsigned(algorithm: str, *, keep_signature: bool) -> Credential:
    def make(secret: str) -> str:
        header = _segment(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
        signature = good(secret).rsplit(".", 1)[1] if keep_signature else ""
        return f"Bearer {header}.{_segment(json.dumps(_claims()).encode())}.{signature}"

    return make


def _swapped_payload(secret: str) -> str:
    header, _, signature = good(secret).split(".")
    return f"Bearer {header}.{_segment(json.dumps(_claims(userId=2)).encode())}.{signature}"


BAD: dict[str, Credential] = {
    "missing": lambda _: None,
    "empty": lambda _: "",
    "scheme alone": lambda _: "Bearer",
    "no scheme": good,
    "basic": lambda secret: f"Basic {good(secret)}",
    "basic password": lambda _: "Basic " + base64.b64encode(b"somebody:password").decode(),
    "scheme glued": lambda secret: f"Bearer{good(secret)}",
    "twice": lambda secret: f"Bearer {good(secret)} {good(secret)}",
    "nonsense": lambda _: "Bearer nonsense",
    "three parts of nonsense": lambda _: "Bearer a.b.c",
    "not text": lambda _: b"Bearer \xff\xfe\xed\xa0\x80",
    "very long": lambda _: "Bearer " + "a" * 20_000,
    "truncated signature": lambda secret: f"Bearer {good(secret)[:-10]}",
    "without signature": lambda secret: f"Bearer {good(secret).rsplit('.', 1)[0]}.",
    "without payload": lambda secret: f"Bearer {good(secret).split('.')[0]}",
    "another payload": _swapped_payload,
    "expired": lambda secret: f"Bearer {issue_token(SOMEBODY, secret, now=time.time() - 3601)}",
    "foreign secret": lambda _: f"Bearer {issue_token(SOMEBODY, 'f' * 43)}",
    "empty secret": lambda _: f"Bearer {issue_token(SOMEBODY, '0' * 32)}",
    "alg none": _unsigned("none", keep_signature=False),
    "alg None": _unsigned("None", keep_signature=False),
    "alg none, signed": _unsigned("none", keep_signature=True),
    "HS512": lambda secret: f"Bearer {jwt.encode(_claims(), secret * 2, algorithm='HS512')}",
    "deeply nested header": lambda _: f"Bearer {_segment(b'[' * 2500)}.e30.AAAA",
    "wrong issuer": _signed(iss="order-service"),
    "no issuer": _signed(iss=...),
    "no expiry": _signed(exp=...),
    "no time of issue": _signed(iat=...),
    "no user": _signed(userId=...),
    "no role": _signed(role=...),
    "no email": _signed(email=...),
    "unknown role": _signed(role="ROLE_ROOT"),
    "user as text": _signed(userId="1"),
    "user true": _signed(userId=True),
}
