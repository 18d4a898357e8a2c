"""The line and its dispatcher against a simple model, whatever crashes when (hypothesis)."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from typing import Any

import httpx
import jwt
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from common.identity import IdentitySigner, Service
from tests import plain
from tests.contract.client import Api
from tests.contract.ordering import PRICE
from tests.polling import until
from tests.queue.line import Line, Place

SEATS = [f"{row} {column}" for row in (1, 2) for column in range(1, 7)]
OUTCOMES = "/bookings/batch"

_SETTINGS = settings(
    max_examples=4, stateful_step_count=14, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)


def test_any_crash_at_any_time(line: Line) -> None:
    class OnThisLine(Queue):
        def __init__(self) -> None:
            super().__init__(line)

    run_state_machine_as_test(OnThisLine, settings=_SETTINGS)


class Queue(RuleBasedStateMachine):
    """Few seats and few people, so that they are in each other's way; each run has a show of its own."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self.line = line
        self.places: list[Place] = []
        self.leaving: set[str] = set()
        self.seen: dict[str, Any] = {}
        self.is_paused = False

    @initialize()
    def open(self) -> None:
        make = self.line.shop.make
        self.show = make.schedule(make.concert(price=PRICE), make.venue(row=2, col=6))
        self.people: list[Api] = [make.person() for _ in range(3)]

    @rule(
        wanted=st.lists(
            st.tuples(
                st.integers(0, 2),
                st.lists(st.sampled_from(SEATS), min_size=1, max_size=2, unique=True),
                st.sampled_from([None, None, "a", "b"]),
            ),
            min_size=1,
            max_size=30,
        )
    )
    def join(self, wanted: list[tuple[int, list[str], str | None]]) -> None:
        wishes = [
            self.line.wish(seats, user=self.people[who], show=self.show, key=key and f"{key}-{self.show['id']}")
            for who, seats, key in wanted
        ]
        self.places += self.line.join(*wishes)

    @precondition(lambda self: self.places)
    @rule(which=st.integers(0, 10**6))
    def leave(self, which: int) -> None:
        place = self.places[which % len(self.places)]
        self.leaving.add(place.ticket_id)
        _abandon(self.line, place)

    @rule()
    def pause_or_go_on(self) -> None:
        process = self.line.process("dispatcher")
        if self.is_paused:
            process.resume()
        else:
            process.pause()
        self.is_paused = not self.is_paused

    @rule(name=st.sampled_from(["dispatcher", "order", "gateway", "redis", "kafka"]))
    def crash(self, name: str) -> None:
        if name == "dispatcher":
            self.is_paused = False
        self.line.process(name).kill()
        self.line.process(name).respawn()
        if name == "kafka":
            assert until(self.line.broker_answers, 40)

    @invariant()
    def an_outcome_stays_as_it_is(self) -> None:
        for place, outcome in zip(self.places, self.line.outcomes(self.places), strict=True):
            if outcome is not None:
                assert self.seen.setdefault(place.ticket_id, outcome) == outcome

    def teardown(self) -> None:
        if self.is_paused:
            self.line.process("dispatcher").resume()
        self.line.running.await_ready()
        outcomes = self.line.served(self.places, 60)
        self.an_outcome_stays_as_it_is()
        holders: dict[str, int] = {}
        answered: dict[tuple[int, str], tuple[bytes, Any]] = {}
        for place, (status, _, body) in zip(self.places, outcomes, strict=True):
            wish = place.wish
            if status == "ABANDONED":
                assert place.ticket_id in self.leaving
                continue
            assert status == "DONE"
            if wish.key is not None and (earlier := answered.get((wish.user.user_id, wish.key))) is not None:
                assert body == earlier[1] if earlier[0] == wish.body else body["code"] == 5001
                continue
            seats = json.loads(wish.body)["seat"]
            if holders.keys().isdisjoint(seats):
                assert [booking["seat"] for booking in body["data"]] == seats
                holders |= dict.fromkeys(seats, wish.user.user_id)
            else:
                assert body["code"] == 4000
            if wish.key is not None:
                answered[wish.user.user_id, wish.key] = (wish.body, body)
        assert self.line.holders(self.show["id"]) == holders
        assert until(self.line.finished, 40)


def _abandon(line: Line, place: Place) -> None:
    """What the gateway does for an owner who leaves; an order-service that is just starting is asked again."""
    ticket = {"ticketId": place.ticket_id, "userId": place.wish.user.user_id, "end": "ABANDONED"}
    body = json.dumps([ticket]).encode()

    def done() -> bool:
        now = int(time.time())
        digest = hashlib.sha256(f"POST {OUTCOMES}\n".encode() + body).hexdigest()
        claims = {"sub": "replay", "jti": secrets.token_hex(8), "iat": now, "exp": now + 15, "request": digest}
        headers = {
            "content-type": "application/json",
            "x-replay-token": jwt.encode(claims, line.running.secrets.replay, algorithm="EdDSA"),
        }
        signer = IdentitySigner(line.running.secrets.identity)
        for name, value in signer.headers_for(Service("gateway"), "POST", OUTCOMES.encode()):
            headers[name.decode()] = value.decode()
        try:
            answer = plain.post(line.running.service_urls["order"] + OUTCOMES, content=body, headers=headers)
        except httpx.TransportError:
            return False
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 200

    assert until(done)
