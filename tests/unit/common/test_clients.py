"""One service asking another, over real sockets."""

from __future__ import annotations

import asyncio
import socket

import pytest
from aiohttp import web
from pydantic import TypeAdapter

from common.clients import ServiceClient, understood
from common.context import use_request_id
from common.errors import NotFound, ServiceUnavailable
from common.identity import Service
from tests.unit.answering import SIGNER, answering, asked, never, status


def test_the_body_comes_back_as_it_is() -> None:
    assert asked(status(200), lambda client: client.get("/concerts/1/detail")) == b"the answer"
    assert asked(status(201), lambda client: client.post("/concerts/list", b"[1]")) == b"the answer"


def test_each_call_carries_a_credential_that_fits_it() -> None:
    callers = []

    async def check(request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.raw_headers}
        callers.append(SIGNER.verify(headers, request.method, request.raw_path.encode()))
        return web.Response(body=await request.read())

    assert asked(check, lambda client: client.get("/concerts/%EB%B4%84%20%2F%3F/search?a=b%26c")) == b""
    assert asked(check, lambda client: client.post("/concerts/list", b"[1,2]")) == b"[1,2]"
    assert callers == [Service("order-service"), Service("order-service")]


def test_the_request_id_and_the_content_type_go_along() -> None:
    seen = []

    async def look(request: web.Request) -> web.Response:
        seen.append((request.headers["X-Request-Id"], request.headers.get("Content-Type", "")))
        return web.Response()

    async def ask(client: ServiceClient) -> bytes:
        use_request_id(b"the-request.7")
        await client.get("/")
        return await client.post("/", b"{}")

    asked(look, ask)
    assert seen[0][0] == "the-request.7"
    assert seen[1] == ("the-request.7", "application/json")


def test_404_is_for_the_caller_to_translate() -> None:
    with pytest.raises(NotFound):
        asked(status(404), lambda client: client.get("/"))


@pytest.mark.parametrize("code", [301, 400, 401, 403, 409, 429, 500, 502, 503])
def test_every_other_answer_means_that_the_service_cannot_help(code: int) -> None:
    with pytest.raises(ServiceUnavailable):
        asked(status(code), lambda client: client.get("/"))


def test_a_service_that_does_not_answer_in_time_is_unavailable() -> None:
    with pytest.raises(ServiceUnavailable):
        asked(never, lambda client: client.get("/"), timeout_seconds=0.2)


def test_one_call_may_have_less_time_than_the_others() -> None:
    with pytest.raises(ServiceUnavailable):
        asked(never, lambda client: client.post("/", b"", timeout_seconds=0.2), timeout_seconds=60.0)


def test_the_address_is_asked_for_at_each_call() -> None:
    async def run() -> list[bytes]:
        async with answering(status(200, "one")) as one, answering(status(200, "two")) as two:
            addresses = iter([one, two, one])
            client = ServiceClient(lambda: next(addresses), own_name="order-service", signer=SIGNER)
            await client.open()
            try:
                return [await client.get("/") for _ in range(3)]
            finally:
                await client.close()

    assert asyncio.run(run()) == [b"one", b"two", b"one"]


def test_no_instance_to_ask_is_what_the_address_says_it_is() -> None:
    def nobody() -> str:
        raise ServiceUnavailable("no instance")

    async def run() -> None:
        client = ServiceClient(nobody, own_name="order-service", signer=SIGNER)
        await client.open()
        try:
            await client.get("/")
        finally:
            await client.close()

    with pytest.raises(ServiceUnavailable, match="no instance"):
        asyncio.run(run())


@pytest.mark.parametrize("answer", [b"", b"<html>", b"[1", b'["a"]', b"{}", b"\xff"])
def test_an_answer_of_another_shape_means_that_the_service_cannot_help(answer: bytes) -> None:
    shape = TypeAdapter(list[int])
    assert understood(shape, b"[1]") == [1]
    with pytest.raises(ServiceUnavailable):
        understood(shape, answer)


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b"half of")
        assert request.transport is not None
        request.transport.close()
        return response

    with pytest.raises(ServiceUnavailable):
        asked(cut, lambda client: client.get("/"))


def test_a_service_that_is_not_there_is_unavailable() -> None:
    async def run() -> None:
        client = ServiceClient(f"http://127.0.0.1:{unused_port()}", own_name="order-service", signer=SIGNER)
        await client.open()
        try:
            await client.get("/")
        finally:
            await client.close()

    with pytest.raises(ServiceUnavailable):
        asyncio.run(run())


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_client_that_was_not_opened_says_so() -> None:
    async def run() -> None:
        await ServiceClient("http://127.0.0.1:1", own_name="order-service", signer=SIGNER).get("/")

    with pytest.raises(RuntimeError, match="open"):
        asyncio.run(run())
