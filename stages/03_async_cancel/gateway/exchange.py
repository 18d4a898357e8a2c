"""One request and its answer: what ASGI hands over, in the form that the gateway works with."""

from __future__ import annotations

from starlette.types import Message, Receive, Scope, Send

from common.context import REQUEST_ID, use_request_id
from common.errors import PlatformError
from common.language import use_language
from common.wire import failure_bytes

_REQUEST_ID = REQUEST_ID.encode()


class Exchange:
    """One request, and the means to answer it.

    Attributes:
        fields: the request's header fields, the last of those with one name.
        headers: all of them, in order.
        id_header: the request id, which goes along with the request and back with the answer.
        status: the answer's status once it was sent, else 0.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.raw_path: bytes = scope["raw_path"]
        self.query: bytes = scope["query_string"]
        self.headers: list[tuple[bytes, bytes]] = scope["headers"]
        self.fields: dict[bytes, bytes] = dict(self.headers)
        self.request_id = use_request_id(self.fields.get(_REQUEST_ID))
        self.id_header = (_REQUEST_ID, self.request_id.encode())
        use_language(self.fields.get(b"accept-language", b"").decode("latin-1"))
        self.status = 0
        self.receive = receive
        self._send = send

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Sends status and headers, the request id among them."""
        headers.append(self.id_header)
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send(self, body: bytes, *, more: bool) -> None:
        """Sends a part of the body; waits while the client is slow to take it."""
        message: Message = {"type": "http.response.body", "body": body, "more_body": more}
        await self._send(message)

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Sends a whole answer whose length is known."""
        await self.start(status, headers)
        await self.send(body, more=False)

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Sends an answer of the gateway's own."""
        await self.respond(status, [*headers, (b"content-length", b"%d" % len(body))], body)

    async def fail(self, error: PlatformError) -> None:
        """Sends an error in the contract's envelope and the client's language."""
        headers = [(b"content-type", b"application/json")]
        if error.retry_after is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after))
        await self.answer(error.status, headers, failure_bytes(error))
