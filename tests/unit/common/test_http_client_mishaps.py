"""What the HTTP client makes of services that break off, go on, or say what nobody asked for."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import aiohttp
import pytest

from common.http_client import BROKEN
from common.http_exchange import AnswerNotHttp
from tests.unit.common.talking import BEGUN, CUT, NO_CONTENT, OK, SILENCE, on_a_loop, parts, talk

ANOTHER = OK.replace(b"ok", b"no")


@on_a_loop
async def test_a_body_that_fails_behind_the_head_of_the_answer_is_told_to_who_reads() -> None:
    goes_on = asyncio.Event()

    async def failing() -> AsyncIterator[bytes]:
        yield b"a part"
        await goes_on.wait()
        raise OSError("no more")

    async with talk(BEGUN, hears_bodies=False) as it:
        answer = await it.client.ask(it.url, "POST", b"/1", [], failing())
        goes_on.set()
        with pytest.raises(aiohttp.ClientConnectionError) as told:
            await answer.read()
        assert isinstance(told.value.__cause__, OSError)
        assert (await it.get(b"/2")).status == 200


@on_a_loop
async def test_a_body_that_is_given_up_by_itself_is_told_too() -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"a part"
        raise asyncio.CancelledError

    async with talk(SILENCE, hears_bodies=False) as it:
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.client.ask(it.url, "POST", b"/1", [], failing())


@on_a_loop
async def test_who_reads_is_told_that_the_answer_was_closed() -> None:
    async with talk(BEGUN) as it:
        answer = await it.get(b"/1")
        reading = asyncio.create_task(answer.read())
        await asyncio.sleep(0)
        answer.close()
        with pytest.raises(aiohttp.ClientConnectionError):
            await reading
        with pytest.raises(aiohttp.ClientConnectionError):
            _ = [chunk async for chunk in answer.chunks()]


@pytest.mark.parametrize("method", ["GET", "POST"])
@on_a_loop
async def test_what_nobody_asked_for_answers_nothing(method: str) -> None:
    async with talk(OK, BEGUN) as it:
        await (await it.get(b"/1")).read()
        it.wires[0].say(ANOTHER)
        for _ in range(5):  # until the client has read it
            await asyncio.sleep(0)
        answer = await it.get(b"/2")
        it.wires[-1].say(b"done" + ANOTHER)
        assert await answer.read() == b"halfdone"
        assert await (await it.client.ask(it.url, method, b"/3", [])).read() == b"ok"


@on_a_loop
async def test_a_body_is_no_longer_than_it_was_said_to_be() -> None:
    async with talk(hears_bodies=False) as it:
        smuggled = parts(b"ab", b"GET /smuggled HTTP/1.1\r\n\r\n")
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.client.ask(it.url, "PUT", b"/1", [], smuggled, 2)
        assert await (await it.get(b"/2")).read() == b"ok"
        assert it.targets() == [[b"/1"], [b"/2"]]


@on_a_loop
async def test_a_body_is_no_shorter_than_it_was_said_to_be() -> None:
    async with talk(SILENCE) as it:
        with pytest.raises(aiohttp.ClientConnectionError):
            await it.client.ask(it.url, "PUT", b"/1", [], parts(b"ab"), 5)


@on_a_loop
async def test_a_reset_during_a_body_is_a_broken_connection() -> None:
    async def restless() -> AsyncIterator[bytes]:
        while True:
            for _ in range(3):
                yield b"a part"
            await asyncio.sleep(0)

    async with talk(SILENCE, hears_bodies=False) as it:
        asked = asyncio.create_task(it.client.ask(it.url, "POST", b"/1", [], restless()))
        wire = await it.heard.get()
        reset = struct.pack("ii", 1, 0)
        wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        wire.writer.transport.abort()
        wire.is_closed.set()
        with pytest.raises(BROKEN):
            await asked


@on_a_loop
async def test_another_protocol_is_no_answer() -> None:
    async with talk(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n") as it:
        with pytest.raises(AnswerNotHttp):
            await it.get()


@on_a_loop
async def test_a_connection_whose_request_was_answered_before_it_was_sent_is_not_used_again() -> None:
    async def answer_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(NO_CONTENT)
        await reader.readuntil(b"/2 HTTP/1.1\r\n")

    async with talk() as it:
        server = await asyncio.start_server(answer_at_once, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert (await it.client.ask(url, "POST", b"/1", [], bytes(30_000_000))).status == 204
        assert (await it.client.ask(url, "GET", b"/2", [])).status == 204
        server.close()


@on_a_loop
async def test_chunks_that_break_off_leave_their_place() -> None:
    async with talk(BEGUN + CUT) as it:
        with pytest.raises(aiohttp.ClientError):
            _ = [chunk async for chunk in (await it.get(b"/1")).chunks()]
        assert await (await it.get(b"/2")).read() == b"ok"
