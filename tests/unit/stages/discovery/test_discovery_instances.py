"""Which instance a request goes to, which get none, and when it is sent again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey

from common.errors import ServiceUnavailable
from discovery.instances import Attempts, BalancedClient, Instance, Instances
from tests.unit.answering import SIGNER, answering, status

A, B, C = "http://a", "http://b", "http://c"
REFUSED = aiohttp.ClientConnectorError(ConnectionKey("a", 80, False, False, None, None, None), OSError("refused"))
BROKEN = aiohttp.ServerDisconnectedError()


def of(*urls: str) -> Instances:
    instances = Instances("order-service", "http://configured")
    instances.update([Instance(url) for url in urls])
    return instances


def taken(instances: Instances, count: int) -> list[str]:
    return [instances.take().url for _ in range(count)]


async def soon(condition: Callable[[], bool]) -> bool:
    for _ in range(500):
        if condition():
            return True
        await asyncio.sleep(0.01)
    return False


def test_who_has_least_in_flight_gets_the_next_request() -> None:
    instances = of(A, B, C)
    busy = [instances.take() for _ in range(6)]
    assert Counter(one.url for one in busy) == {A: 2, B: 2, C: 2}
    freed = next(one for one in busy if one.url == B)
    freed.finished()
    freed.finished()
    assert taken(instances, 2) == [B, B]


def test_equals_take_turns() -> None:
    instances = of(A, B)
    seen = []
    for _ in range(6):
        one = instances.take()
        seen.append(one.url)
        one.finished()
    assert sorted(seen) == [A] * 3 + [B] * 3


def test_who_is_not_ready_is_asked_only_if_nobody_else_is_there() -> None:
    instances = of(A, B)
    left_out = Instance(B, is_ready=False)
    instances.update([Instance(A), left_out])
    assert set(taken(instances, 4)) == {A}
    instances.update([left_out])
    assert set(taken(instances, 2)) == {B}


def test_a_new_list_keeps_what_is_known_of_an_instance_and_an_empty_one_changes_nothing() -> None:
    instances = of(A, B)
    first = instances.take()
    instances.update([Instance(C), Instance(first.url)])
    assert {one.url: one.in_flight for one in instances} == {first.url: 1, C: 0}
    instances.update([])
    assert len(list(instances)) == 2


def test_configured_addresses_serve_until_others_are_listed() -> None:
    instances = Instances("order-service", "http://one:1/, http://two:2")
    assert {one.url for one in instances} == {"http://one:1", "http://two:2"}
    instances.update([Instance(A)])
    assert [one.url for one in instances] == [A]


def test_a_request_that_nobody_took_goes_to_each_instance_once() -> None:
    async def attempt() -> list[str]:
        instances = of(A, B, C)
        attempts = Attempts(instances)
        seen = [attempts.at.url]
        while attempts.again(REFUSED, may_repeat=False):
            seen.append(attempts.at.url)
        assert [one.in_flight for one in instances] == [0, 0, 0]
        assert [one.ejections for one in instances] == [1, 1, 1]
        await instances.close()
        return seen

    assert sorted(asyncio.run(attempt())) == [A, B, C]


def test_one_that_perhaps_arrived_is_repeated_once_and_elsewhere() -> None:
    instances = of(A, B)
    attempts = Attempts(instances)
    first = attempts.at
    assert attempts.again(BROKEN, may_repeat=True)
    assert attempts.at is not first
    assert not attempts.again(BROKEN, may_repeat=True)
    assert [one.in_flight for one in instances] == [0, 0]
    assert [one.is_ejected for one in instances] == [False, False]


def test_one_that_must_not_be_repeated_is_not() -> None:
    instances = of(A, B)
    assert not Attempts(instances).again(BROKEN, may_repeat=False)
    assert [one.in_flight for one in instances] == [0, 0]


def test_the_only_instance_gets_the_repetition_too() -> None:
    attempts = Attempts(of(A))
    assert attempts.again(BROKEN, may_repeat=True)
    assert attempts.at.url == A


def test_who_is_ejected_gets_nothing_until_it_answers_a_probe() -> None:
    async def run() -> None:
        code = 503

        async def ready(request: web.Request) -> web.Response:
            assert request.path == "/health/ready"
            return web.Response(status=code)

        async with answering(ready) as url:
            instances = of(A, url.rstrip("/"))
            _, ejected = instances
            instances.eject(ejected)
            instances.eject(ejected)
            assert ejected.ejections == 1
            assert set(taken(instances, 5)) == {A}
            await asyncio.sleep(1.2)  # probes that fail
            assert ejected.is_ejected
            code = 200
            assert await soon(lambda: not ejected.is_ejected)
            assert set(taken(instances, 2)) == {ejected.url}
            await instances.close()

    asyncio.run(run())


def test_if_all_are_ejected_all_are_asked() -> None:
    async def run() -> None:
        instances = of(A, B)
        for one in instances:
            instances.eject(one)
        assert set(taken(instances, 2)) == {A, B}
        await instances.close()

    asyncio.run(run())


@asynccontextmanager
async def client_of(instances: Instances) -> AsyncIterator[BalancedClient]:
    client = BalancedClient(instances, own_name="concert-service", signer=SIGNER)
    await client.open()
    try:
        yield client
    finally:
        await client.close()
        await instances.close()


def test_a_call_between_services_finds_the_instance_that_is_left() -> None:
    async def run() -> None:
        async with answering(status(200)) as url:
            instances = Instances("order-service", f"http://127.0.0.1:1,{url}")
            async with client_of(instances) as client:
                answers = await asyncio.gather(*(client.get("/") for _ in range(20)))
                assert answers == [b"the answer"] * 20
                assert [one.in_flight for one in instances] == [0, 0]
                assert [one.is_ejected for one in instances] == [True, False]

    asyncio.run(run())


def test_a_call_between_services_is_repeated_when_its_instance_hangs_up() -> None:
    async def run() -> None:
        asked = Counter[str]()

        async def hangs_up(request: web.Request) -> web.Response:
            asked["dying"] += 1
            assert request.transport is not None
            request.transport.close()
            return web.Response()

        async with answering(hangs_up) as dying, answering(status(200)) as well:
            async with client_of(Instances("order-service", f"{dying},{well}")) as client:
                assert [await client.post("/", b"[]") for _ in range(4)] == [b"the answer"] * 4
            assert asked["dying"]
            async with client_of(Instances("order-service", dying)) as client:
                with pytest.raises(ServiceUnavailable):
                    await client.post("/", b"[]")

    asyncio.run(run())
