"""Instances come, leave, die and stand still while people buy; and the registry goes, with or without its data."""

from __future__ import annotations

import time

import pytest

from tests import plain
from tests.polling import until
from tests.scaleout.floor import BOTH, INSTANCES, Floor

NOTICED_SECONDS = 1.0
# A lease of three seconds, and the half second within which the gateway looks.
LEASE_OVER_SECONDS = 5.0


@pytest.fixture(autouse=True)
def _whole(floor: Floor) -> None:
    """Both instances get requests, whatever the test before has done to them."""
    floor.await_usable(*BOTH)


def test_both_instances_share_the_work(floor: Floor) -> None:
    before = [floor.requests_at(name) for name in BOTH]
    with floor.crowd() as crowd:
        crowd.await_more(300)
    assert crowd.failures == []
    first, second = (floor.requests_at(name) - was for name, was in zip(BOTH, before, strict=True))
    assert min(first, second) > 0.3 * (first + second)


@pytest.mark.parametrize("component", ["order", "concert"])
def test_adding_and_removing_an_instance_fails_no_request(floor: Floor, component: str) -> None:
    with floor.crowd() as crowd:
        name, _ = floor.running.add(component)
        floor.running.await_ready(only=name)
        floor.await_usable(component, f"{component}#2", name)
        before = floor.requests_at(name)
        crowd.await_more(100)
        assert floor.requests_at(name) > before, "the new instance has work"
        floor.running.remove(name)
        floor.await_usable(component, f"{component}#2")
        crowd.await_more(50)
    assert crowd.failures == []


def test_a_killed_instance_fails_only_what_it_was_doing_and_is_left_within_a_second(floor: Floor) -> None:
    victim = floor.running.process_of("order#2")
    with floor.crowd() as crowd:
        victim.kill()
        killed_at = time.monotonic()
        floor.await_usable("order", seconds=NOTICED_SECONDS)
        crowd.await_more(200)
    late = [one for one in crowd.failures if one.sent_at > killed_at]
    assert late == [], "only requests in flight may fail"
    assert all(one.method == "POST" for one in crowd.failures), "what may be repeated is"
    victim.respawn()
    floor.await_usable(*BOTH)


def test_an_instance_that_stands_still_loses_its_lease_and_gets_it_back(floor: Floor) -> None:
    victim = floor.running.process_of("order#2")
    victim.pause()
    try:
        floor.await_usable("order", seconds=LEASE_OVER_SECONDS)
        began = time.monotonic()
        for _ in range(20):
            floor.shop.book(floor.shop.make.person())
        assert time.monotonic() - began < 5, "nobody waits for who stands still"
        assert floor.instances()[floor.url("order#2")]["leaseAgeSeconds"] > 3
    finally:
        victim.resume()
    floor.await_usable(*BOTH)


def test_without_the_registry_the_last_known_instances_serve(floor: Floor) -> None:
    with floor.crowd() as crowd:
        floor.redis.kill()
        before = len(crowd.asked)
        assert until(lambda: floor.instances()[floor.url("order")]["leaseAgeSeconds"] > 4)
        floor.await_usable(*BOTH)
        assert len(crowd.asked) > before
        floor.restart_redis()
        assert until(lambda: all(one["leaseAgeSeconds"] < 2 for one in floor.instances().values()))
    assert crowd.failures == []


def test_instances_come_back_into_an_emptied_registry(floor: Floor) -> None:
    with floor.crowd() as crowd:
        floor.empty_redis()
        crowd.await_more(100)
        floor.await_usable(*BOTH)
        assert until(lambda: all(one["leaseAgeSeconds"] < 2 for one in floor.instances().values()))
    assert crowd.failures == []


def test_only_managers_see_the_instances(floor: Floor) -> None:
    url = floor.running.gateway_url + INSTANCES
    assert plain.get(url).status_code == 401
    buyer = floor.shop.make.person()
    answer = plain.get(url, headers={"Authorization": f"Bearer {buyer.token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, 1000)
    listed = floor.manager().get(INSTANCES)
    assert {one["service"] for one in listed} == {"user-service", "concert-service", "order-service"}
    for one in listed:
        assert list(one) == [
            "service", "url", "ready", "leaseAgeSeconds", "inFlight", "ejections", "ejected",
        ]  # fmt: skip
        assert (one["leaseAgeSeconds"] is None) == (one["service"] == "user-service")


@pytest.mark.parametrize(("language", "word"), [("ko", "인스턴스"), ("en", "Instances")])
def test_the_page_is_open_to_all_shows_nothing_by_itself_and_loads_nothing(
    floor: Floor, language: str, word: str
) -> None:
    answer = plain.get(floor.running.gateway_url + "/monitor", headers={"Accept-Language": language})
    assert answer.status_code == 200
    assert f"<h1>{word}</h1>" in answer.text
    assert "127.0.0.1" not in answer.text
    assert "src=" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
