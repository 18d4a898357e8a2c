"""The request id: made or accepted by the gateway, handed from service to service, and written to every log line."""

from __future__ import annotations

import random
import re
from contextvars import ContextVar

REQUEST_ID = "x-request-id"

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")

_request_id: ContextVar[str] = ContextVar("request_id", default="-")


def current_request_id() -> str:
    """The id of the request being served, ``-`` outside of one."""
    return _request_id.get()


def use_request_id(offered: bytes | None) -> str:
    """Takes over the id that the caller offers if it is harmless to log, else makes one."""
    request_id = offered.decode("latin-1") if offered else ""
    if not request_id or not _ACCEPTABLE.fullmatch(request_id):
        request_id = f"{random.getrandbits(64):016x}"
    _request_id.set(request_id)
    return request_id
