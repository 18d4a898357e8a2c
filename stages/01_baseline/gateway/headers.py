"""Which header fields pass the gateway, in either direction.

Connection-specific fields end here (RFC 9110, 7.6.1), and so does everything by which a client could pretend to be
the gateway: identity, forwarding and replay headers.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from common.context import REQUEST_ID
from common.errors import InvalidInput
from common.http_exchange import Headers
from common.identity import IDENTITY_HEADERS

HOP_BY_HOP = frozenset(
    {
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
        b"trailer", b"transfer-encoding", b"upgrade",
    }
)  # fmt: skip

_REQUEST_ID = REQUEST_ID.encode()

# Set by the gateway itself, or meant for it alone: the token ends here, the body is measured again, and
# `Expect: 100-continue` has been answered by the time a service is asked.
_SET_HERE = frozenset({_REQUEST_ID, b"host", b"content-length", b"expect", b"authorization"})

_FORWARDING = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"x-real-ip"}
)

# Marks of the admission queue; only the gateway and its dispatcher may set them.
_REPLAY = frozenset({b"x-resend-request", b"x-ticket-number", b"x-replay-token"})

_NOT_FROM_CLIENTS = HOP_BY_HOP | IDENTITY_HEADERS | _SET_HERE | _FORWARDING | _REPLAY

# uvicorn writes a Date of its own on every answer, and the gateway the request id; a second one would contradict.
_NOT_FROM_SERVICES = HOP_BY_HOP | {b"date", _REQUEST_ID}


def from_client(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields of a client's request that a service may see.

    A name with an underscore is dropped: behind CGI-like servers ``x_user_id`` and ``x-user-id`` are the same.

    Raises:
        InvalidInput: a value is not UTF-8, and so would be read as one thing by the one and as another by the next.
    """
    dropped = _dropped(_NOT_FROM_CLIENTS, headers)
    passed = [field for field in headers if field[0] not in dropped and b"_" not in field[0]]
    for _, value in passed:
        if not value.isascii():
            _check_utf8(value)
    return passed


def from_service(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields of a service's answer that the client may see, names in lower case."""
    lowered = [(name.lower(), value) for name, value in headers]
    dropped = _dropped(_NOT_FROM_SERVICES, lowered)
    return [field for field in lowered if field[0] not in dropped]


def _dropped(always: frozenset[bytes], headers: Iterable[tuple[bytes, bytes]]) -> frozenset[bytes]:
    """``always``, and whatever this message's Connection fields name."""
    named = [value for name, value in headers if name == b"connection"]
    if not named:
        return always
    return always | _named(b",".join(named))


@lru_cache(maxsize=128)
def _named(connection: bytes) -> frozenset[bytes]:
    return frozenset(token.strip().lower() for token in connection.split(b","))


def _check_utf8(value: bytes) -> None:
    try:
        value.decode()
    except UnicodeDecodeError as problem:
        raise InvalidInput.of("headers", "must be UTF-8") from problem
