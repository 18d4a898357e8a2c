"""A client for tests that sends exactly what it is told: no path is tidied up, no header added or merged."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

from common.identity import Role, User
from common.tokens import issue_token
from harness.launch import Secrets

JWT_SECRET = "a secret for tokens that only tests know"
IDENTITY_KEY = "an identity key that only the tests know"
SECRETS = {
    "JWT_SECRET": JWT_SECRET,
    "IDENTITY_KEY": IDENTITY_KEY,
    # From stage 05 on.
    "QUEUE_KEY": "a key for tickets that only the tests know",
    "REPLAY_PRIVATE_KEY": Secrets().replay_private_key,
}

BUYER = User(42, "buyer@example.com", Role.USER)
TOKEN = issue_token(BUYER, JWT_SECRET)
LOGGED_IN = ("Authorization", f"Bearer {TOKEN}")

Fields = Iterable[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The field of that name; it must not come twice."""
        values = [value for key, value in self.headers if key == name]
        assert len(values) <= 1, values
        return values[0] if values else None

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def outcome(self) -> tuple[int, int]:
        """HTTP status and the envelope's code."""
        return self.status, self.json["code"]


def ask(
    port: int,
    target: str,
    *headers: tuple[str, str],
    method: str = "GET",
    body: bytes | Iterable[bytes] | None = None,
    token: bool = True,
) -> Answer:
    """Sends one request over a connection of its own; a ``body`` of parts goes out chunked."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in [*([LOGGED_IN] if token else []), *headers]:
            connection.putheader(name, value)
        if isinstance(body, bytes):
            connection.putheader("Content-Length", str(len(body)))
        elif body is not None:
            connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders(body, encode_chunked=not isinstance(body, bytes))
        response = connection.getresponse()
        content = response.read()
        return Answer(response.status, [(name.lower(), value) for name, value in response.getheaders()], content)
    finally:
        connection.close()


def ask_raw(port: int, request: bytes) -> bytes:
    """Sends these bytes, and returns all that comes back until the gateway closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        received = b""
        while part := connection.recv(65_536):
            received += part
        return received
