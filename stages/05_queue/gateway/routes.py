"""Which service a path belongs to, who may ask for it, and which paths are no paths at all."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum, auto
from typing import NamedTuple


class Access(Enum):
    """Who may use a route."""

    PUBLIC = auto()
    """Everybody; no token is asked for."""
    USER = auto()
    """Whoever has a valid token; the service decides what they may do."""
    SERVICE = auto()
    """Only the platform's services among themselves: refused here."""
    UNKNOWN = auto()
    """No service has this first segment, or it is a service's operations, which are not asked for through here."""
    MALFORMED = auto()
    """Not in normal form: who could use it depends on who reads it, so nobody can."""


class Route(NamedTuple):
    """Where one request goes: the service's name, and the path as that service sees it, percent-encoded."""

    access: Access
    service: str
    path: bytes


# Health, metrics and the OpenAPI document of a service: for who operates it, at the service itself.
OPERATIONS = re.compile(r"/(?:health(?:/.*)?|metrics/?|openapi\.json/?)", re.DOTALL)

PUBLIC_PREFIXES = {"user-service": "/auth/", "order-service": "/widget/"}

# Calls of the contract that are marked service-to-service, on "METHOD path". `/users/all` is a manager's call;
# `/concerts/search` asks for two segments behind `/concerts` to be taken for a service's search by name.
SERVICE_CALLS = {
    "user-service": re.compile(r"[A-Z]+ /users/(?:(?!all/?$)[^/]+|[^/]+/nickname)/?"),
    "concert-service": re.compile(
        r"[A-Z]+ /concerts/[^/]+/(?:detail|seller|search|[^/]+/search)/?"
        r"|[A-Z]+ /schedules/[^/]+/detail/?"
        r"|POST /concerts/list/?"
    ),
    "order-service": re.compile(r"POST /bookings/(?:active|batch)/?|POST /tickets/?"),
}

# What two parties could read differently: empty and dot segments (also `..;`, which some servers cut to `..`), an
# encoded slash or backslash, control characters, a percent sign that encodes nothing, anything outside visible ASCII.
_NOT_NORMAL = re.compile(
    rb"//|/(?:\.|%2[eE]){1,2}(?:/|;|%3[bB]|$)|%(?:2[fF]|5[cC]|[01]|7[fF])|%(?![0-9a-fA-F]{2})|\\|[^!-~]"
)


def is_normal(raw_path: bytes) -> bool:
    """Whether every party reads the path alike, so that what is checked here is what the service serves.

    It is not if it has segments or encodings that RFC 3986 (6.2.2) would normalise away.
    """
    return raw_path.startswith(b"/") and not _NOT_NORMAL.search(raw_path)


class Routes:
    """The routing table; it is fixed for the life of the process."""

    def __init__(self, services: Iterable[str]) -> None:
        self._services = frozenset(services)

    def find(self, method: str, path: str, raw_path: bytes) -> Route:
        """The route of a request.

        Args:
            path: the whole path, percent-decoded once, as the service's own router will see it behind its name.
            raw_path: the same, as the client wrote it.
        """
        if not is_normal(raw_path):
            return Route(Access.MALFORMED, "unknown", raw_path)
        service, slash, rest = path[1:].partition("/")
        if service not in self._services or OPERATIONS.fullmatch(slash + rest):
            return Route(Access.UNKNOWN, "unknown", raw_path)
        raw_rest = raw_path[raw_path.index(b"/", 1) :] if slash else b"/"
        return Route(_access(service, method, slash + rest), service, raw_rest)


def _access(service: str, method: str, path: str) -> Access:
    public = PUBLIC_PREFIXES.get(service)
    if public is not None and path.startswith(public):
        return Access.PUBLIC
    service_calls = SERVICE_CALLS.get(service)
    if service_calls is not None and service_calls.fullmatch(f"{method} {path}"):
        return Access.SERVICE
    return Access.USER
