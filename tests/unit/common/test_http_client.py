"""What the HTTP client sends, and what it makes of what comes, byte for byte over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from unittest.mock import patch

import aiohttp
import pytest

from common.http_client import BROKEN, NOT_CONNECTED, HttpClient
from common.http_exchange import AnswerNotHttp, HttpAnswer
from tests.unit.common.talking import (
    BEGUN,
    CHUNKED,
    CONTINUE,
    CUT,
    HINTS,
    NO_CONTENT,
    NOT_MODIFIED,
    OK,
    SILENCE,
    endless,
    on_a_loop,
    parts,
    talk,
)  # fmt: skip
from tests.unit.common.test_clients import unused_port


@pytest.mark.parametrize(
    ("method", "body", "length", "framing", "sent"),
    [
        ("GET", None, None, b"", b""),
        ("HEAD", None, None, b"", b""),
        ("POST", None, None, b"content-length: 0\r\n", b""),
        ("DELETE", None, None, b"content-length: 0\r\n", b""),
        ("PUT", b"", None, b"content-length: 0\r\n", b""),
        ("POST", b"a body", None, b"content-length: 6\r\n", b"a body"),
        ("PUT", [b"a ", b"", b"body"], 6, b"content-length: 6\r\n", b"a body"),
        ("POST", [b"a ", b"", b"body"], None, b"transfer-encoding: chunked\r\n", b"2\r\na \r\n4\r\nbody\r\n0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("prefix", [b"", b"/the%20api"])
@on_a_loop
async def test_what_was_given_arrives_with_host_and_framing_and_nothing_else(
    method: str, body: bytes | list[bytes] | None, length: int | None, framing: bytes, sent: bytes, prefix: bytes
) -> None:
    target = b"/a%2F%2e//b;c?d=%C3&d=e+f"
    fields = [(b"X-One", b"1"), (b"x-two", b"\xff \xea\xb0"), (b"x-one", b"")]
    async with talk(NO_CONTENT) as it:
        upload = parts(*body) if isinstance(body, list) else body
        await it.client.ask(f"{it.url}{prefix.decode()}/", method, target, fields, upload, length)
    head = b"%b %b%b HTTP/1.1\r\nhost: %b\r\n" % (method.encode(), prefix, target, it.url[7:].encode())
    given = b"X-One: 1\r\nx-two: \xff \xea\xb0\r\nx-one: \r\n"
    assert [wire.got for wire in it.wires] == [head + framing + given + b"\r\n" + sent]


@pytest.mark.parametrize("bad", [b"\r", b"\n", b"\r\n", b"\0"])
@pytest.mark.parametrize("where", [b"a%b", b"%bb", b"a%bb"])
@pytest.mark.parametrize("place", ["target", "name", "value"])
@on_a_loop
async def test_a_line_break_or_a_nul_in_the_head_is_never_sent(place: str, where: bytes, bad: bytes) -> None:
    given = {"target": b"", "name": b"x-name", "value": b"value"} | {place: where % bad}
    async with talk() as it:
        with pytest.raises(ValueError, match="line break"):
            await it.client.send(it.url, "GET", b"/" + given["target"], [(given["name"], given["value"])])
        await it.get(b"/good")
    assert it.targets() == [[b"/good"]]


async def chunks(answer: HttpAnswer) -> bytes:
    return b"".join([chunk async for chunk in answer.chunks()])


@pytest.mark.parametrize(
    ("method", "begin", "rest", "take", "body"),
    [
        ("GET", BEGUN, b"done", HttpAnswer.read, b"halfdone"),
        ("GET", BEGUN, b"done", chunks, b"halfdone"),
        ("GET", CHUNKED, b"4\r\ndone\r\n0\r\n\r\n", HttpAnswer.read, b"done"),
        ("GET", CHUNKED, b"4\r\ndone\r\n0\r\n\r\n", chunks, b"done"),
        ("HEAD", OK.removesuffix(b"ok"), b"", None, b""),
        ("GET", NO_CONTENT, b"", None, b""),
        ("GET", NOT_MODIFIED, b"", None, b""),
    ],
)
@on_a_loop
async def test_a_connection_is_used_again_after_the_end_of_an_answer(
    method: str, begin: bytes, rest: bytes, take: Callable[[HttpAnswer], Awaitable[bytes]] | None, body: bytes
) -> None:
    async with talk(begin) as it:
        answer = await it.client.ask(it.url, method, b"/1", [])
        it.wires[0].say(rest)
        assert take is None or await take(answer) == body
        assert await (await it.get(b"/2")).read() == b"ok"
    assert it.targets() == [[b"/1", b"/2"]]


@on_a_loop
async def test_a_connection_is_not_used_again_after_an_answer_that_was_closed_midway() -> None:
    async with talk(BEGUN) as it:
        (await it.get(b"/1")).close()
        await it.get(b"/2")
    assert it.targets() == [[b"/1"], [b"/2"]]


@on_a_loop
async def test_requests_beyond_the_limit_wait_in_order_of_arrival() -> None:
    async with talk(*[SILENCE] * 6, connections=2) as it:
        asked = [asyncio.create_task(it.get(b"/%d" % number)) for number in range(6)]
        busy, other = await it.heard.get(), await it.heard.get()
        for _ in range(4):  # who is next in line gets the connection
            busy.say(OK)
            assert await it.heard.get() is busy
        busy.say(OK)
        other.say(OK)
        await asyncio.gather(*asked)
    assert sorted(target for wire in it.targets() for target in wire[:1]) == [b"/0", b"/1"]
    assert sorted(wire[1:] for wire in it.targets()) == [[], [b"/2", b"/3", b"/4", b"/5"]]


@on_a_loop
async def test_a_body_of_no_length_ends_with_the_connection_and_comes_as_it_is() -> None:
    async with talk(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\nno gzip" + CUT) as it:
        assert await (await it.get(b"/1")).read() == b"no gzip"
        await it.get(b"/2")
    assert it.targets() == [[b"/1"], [b"/2"]]


@on_a_loop
async def test_interim_answers_are_passed_over() -> None:
    async with talk(CONTINUE + HINTS + HINTS + OK) as it:
        answer = await it.get()
        assert (answer.status, answer.headers, answer.length) == (200, ((b"Content-Length", b"2"),), 2)
        assert await answer.read() == b"ok"
        await it.get()
    assert it.targets() == [[b"/", b"/"]]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", AnswerNotHttp),
        (CUT, BROKEN),
        (OK[:20] + CUT, BROKEN),
        (CONTINUE + CUT, BROKEN),
        (BEGUN + CUT, aiohttp.ClientPayloadError),
        (CHUNKED + b"4\r\nhalf\r\n" + CUT, aiohttp.ClientPayloadError),
        (CHUNKED + b"4\r\nha" + CUT, aiohttp.ClientPayloadError),
    ],
)
@on_a_loop
async def test_what_is_no_whole_answer_is_an_error_and_leaves_its_place(
    answer: bytes, error: type[Exception] | tuple[type[Exception], ...]
) -> None:
    async with talk(answer) as it:
        with pytest.raises(error):
            await (await it.get(b"/1")).read()
        await it.get(b"/2")
    assert it.targets() == [[b"/1"], [b"/2"]]


@pytest.mark.parametrize(("method", "body"), [("GET", None), ("DELETE", None), ("PUT", b"a body")])
@on_a_loop
async def test_an_idempotent_request_is_repeated_once_on_a_new_connection(method: str, body: bytes | None) -> None:
    async with talk(BEGUN, BEGUN, CUT, OK, CUT, CUT, connections=2) as it:
        await it.leave_two_idle()
        assert await (await it.client.send(it.url, method, b"/a", [], body)).read() == b"ok"
        with pytest.raises(BROKEN):
            await it.client.send(it.url, method, b"/b", [], body)
    assert it.targets() == [[b"/", b"/a"], [b"/", b"/b"], [b"/a"], [b"/b"]]


@pytest.mark.parametrize(("method", "body"), [("POST", b"a body"), ("POST", None), ("PUT", [b"a body"])])
@on_a_loop
async def test_what_cannot_be_sent_twice_is_not_repeated(method: str, body: bytes | list[bytes] | None) -> None:
    async with talk(CUT) as it:
        with pytest.raises(BROKEN):
            await it.client.send(it.url, method, b"/", [], parts(*body) if isinstance(body, list) else body)
    assert it.targets() == [[b"/"]]


@on_a_loop
async def test_where_nobody_listens_is_not_asked_again() -> None:
    async with talk() as it:
        with patch.object(it.client, "ask", wraps=it.client.ask) as ask, pytest.raises(NOT_CONNECTED):
            await it.client.send(f"http://127.0.0.1:{unused_port()}", "GET", b"/", [])
    assert ask.call_count == 1


@on_a_loop
async def test_a_post_does_not_take_an_idle_connection_that_the_service_has_closed() -> None:
    async with talk(BEGUN, BEGUN, connections=2) as it:
        await it.leave_two_idle()
        for wire in it.wires:
            wire.end_unnoticed()
        assert await (await it.client.ask(it.url, "POST", b"/post", [], b"a body")).read() == b"ok"
    assert it.targets() == [[b"/"], [b"/"], [b"/post"]]


@pytest.mark.parametrize(("begin", "rest", "body"), [(OK, b"", b"ok"), (BEGUN, b"done", b"halfdone")])
@on_a_loop
async def test_a_body_that_is_answered_before_its_end_is_given_up(begin: bytes, rest: bytes, body: bytes) -> None:
    async with talk(begin, hears_bodies=False) as it:
        answer = await it.client.ask(it.url, "POST", b"/post", [], endless(is_cancelled := asyncio.Event()))
        it.wires[0].say(rest)
        assert await answer.read() == body
        await is_cancelled.wait()
        await it.get(b"/get")
    assert it.targets() == [[b"/post"], [b"/get"]]


@on_a_loop
async def test_a_body_that_fails_is_told_to_who_waits_for_the_answer() -> None:
    problem = OSError("the client has gone")

    async def failing() -> AsyncIterator[bytes]:
        yield b"a part"
        raise problem

    async with talk(SILENCE, hears_bodies=False) as it:
        with pytest.raises(aiohttp.ClientConnectionError) as failed:
            await it.client.ask(it.url, "PUT", b"/put", [], failing())
        assert failed.value.__cause__ is problem
        await it.get(b"/get")
    assert it.targets() == [[b"/put"], [b"/get"]]
    assert it.wires[0].got.endswith(b"\r\n\r\n6\r\na part\r\n")  # and not as if that were all


@on_a_loop
async def test_the_end_of_an_answer_is_told_once() -> None:
    ended = []
    async with talk(OK, BEGUN, BEGUN) as it:
        whole = await it.get()
        whole.on_end(lambda: ended.append("whole"))
        assert ended == ["whole"]
        streamed = await it.get()
        streamed.on_end(lambda: ended.append("streamed"))
        assert ended == ["whole"]
        it.wires[0].say(b"done")
        await streamed.read()
        assert ended == ["whole", "streamed"]
        closed = await it.get()
        closed.on_end(lambda: ended.append("closed"))
        assert ended == ["whole", "streamed"]
        closed.close()
        assert ended == ["whole", "streamed", "closed"]
        for answer in (whole, streamed, closed):
            answer.close()
        closed.on_end(lambda: ended.append("late"))
    assert ended == ["whole", "streamed", "closed", "late"]


@on_a_loop
async def test_who_gives_up_a_request_closes_its_connection_and_leaves_its_place() -> None:
    async with talk(SILENCE, hears_bodies=False) as it:
        upload = endless(is_cancelled := asyncio.Event())
        asked = asyncio.create_task(it.client.ask(it.url, "PUT", b"/put", [], upload))
        wire = await it.heard.get()
        asked.cancel()
        await wire.is_closed.wait()
        await is_cancelled.wait()
        await it.get(b"/get")
    assert it.targets() == [[b"/put"], [b"/get"]]


@on_a_loop
async def test_who_gives_up_in_the_line_leaves_it() -> None:
    async with talk(BEGUN) as it:
        holding = await it.get(b"/1")
        second, third = [asyncio.create_task(it.get(target)) for target in (b"/2", b"/3")]
        await asyncio.sleep(0)  # both are in line
        second.cancel()
        await asyncio.wait([second])
        holding.close()
        await third
    assert it.targets() == [[b"/1"], [b"/3"]]


@on_a_loop
async def test_a_client_that_was_not_opened_says_so() -> None:
    with pytest.raises(RuntimeError, match="open"):
        await HttpClient(connections=1).send("http://127.0.0.1:1", "GET", b"/", [])
