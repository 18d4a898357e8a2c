"""A real server that gives one answer to everything, and what a client of it gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from common.clients import ServiceClient
from common.identity import IdentitySigner

SIGNER = IdentitySigner("an identity key of thirty-two characters")

T = TypeVar("T")
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """The URL of a server that gives ``answer`` to everything."""
    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", answer)
    # A handler that never answers must not hold up the end of the test.
    runner = web.AppRunner(application, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


def asked(answer: Answer, ask: Callable[[ServiceClient], Awaitable[T]], timeout_seconds: float = 5.0) -> T:
    """The outcome of ``ask`` against such a server."""

    async def run() -> T:
        async with answering(answer) as url:
            client = ServiceClient(url, own_name="order-service", signer=SIGNER, timeout_seconds=timeout_seconds)
            await client.open()
            try:
                return await ask(client)
            finally:
                await client.close()

    return asyncio.run(run())


def status(code: int, text: str = "the answer") -> Answer:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, text=text)

    return answer


async def never(_: web.Request) -> web.Response:
    """No answer, until the client is gone."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")
