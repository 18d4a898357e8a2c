"""The least that a server can do: a constant answer of 5 KB, in raw ASGI. It stands for the service too."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from experiments.gateway_cost.settings import RungSettings

BODY = b'{"code":0,"message":"ok","data":"' + b"x" * 5_000 + b'"}'
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


async def live(receive: Receive, send: Send) -> None:
    """One half of an application's life (ASGI lifespan protocol): its start, or its end."""
    message = await receive()
    await send({"type": f"{message['type']}.complete"})


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await live(receive, send)
        await live(receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": BODY})


def create_app(_: RungSettings) -> ASGIApp:
    return answer
