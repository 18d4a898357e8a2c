"""Only the gateway and the dispatcher replay requests, and each replay is let in once."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.identity import Caller, IdentitySigner, Service
from tests import plain
from tests.contract.client import outcome, refused
from tests.contract.ordering import metric
from tests.queue.line import Line

REPLAYS, LOOK_UP = "/bookings/batch", "/tickets"


class Impostor:
    """Somebody who has found order-service's port, and the key of every service, but not the dispatcher's."""

    def __init__(self, line: Line, http: httpx.Client) -> None:
        self._line = line
        self._http = http
        self._signer = IdentitySigner(line.running.secrets.identity)

    def post(
        self,
        path: str,
        body: bytes,
        token: str | None,
        caller: Caller | None = Service("order-service"),  # noqa: B008
    ) -> httpx.Response:
        headers = {"content-type": "application/json"}
        if caller is not None:
            for name, value in self._signer.headers_for(caller, "POST", path.encode()):
                headers[name.decode()] = value.decode()
        if token is not None:
            headers["x-replay-token"] = token
        return self._http.post(self._line.running.service_urls["order"] + path, content=body, headers=headers)

    def token(self, path: str, body: bytes, key: Any = None, algorithm: str = "EdDSA", **changes: Any) -> str:
        """What the dispatcher would make, but for the changes; None leaves a claim out."""
        claims = {
            "sub": "replay", "jti": hashlib.sha256(str(time.perf_counter()).encode()).hexdigest(),
            "iat": int(time.time()), "exp": int(time.time()) + 15,
            "request": hashlib.sha256(f"POST {path}\n".encode() + body).hexdigest(), **changes,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, key or self._line.running.secrets.replay, algorithm=algorithm)

    def outcomes(self, *ticket_ids: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.post(LOOK_UP, json.dumps(ticket_ids).encode(), None).json()
        return found

    def settle(self, body: bytes) -> list[dict[str, Any]]:
        """What stands of the tickets of a replay that is all right."""
        answer = self.post(REPLAYS, body, self.token(REPLAYS, body))
        assert (answer.status_code, answer.json()) == (200, []), answer.text
        return self.outcomes(*(item["ticketId"] for item in json.loads(body)))

    def refused(self) -> float:
        url = self._line.running.service_urls["order"]
        reasons = ("missing", "forged", "expired", "other request", "used before")
        return sum(metric(url, f'replays_refused_total{{reason="{reason}"}}') for reason in reasons)


@pytest.fixture
def impostor(line: Line) -> Iterator[Impostor]:
    with plain.Client(timeout=20) as http:
        yield Impostor(line, http)


@pytest.fixture
def batch(line: Line) -> bytes:
    """One ticket's request, as the dispatcher hands it over."""
    wish = line.wish(line.shop.seats())
    user = wish.user.user
    assert user is not None
    item = {
        "ticketId": f"0.{time.perf_counter_ns()}.test", "userId": user.user_id, "body": wish.body.decode(),
        "language": "ko", "idempotencyKey": None,
    }  # fmt: skip
    return json.dumps([item]).encode()


def test_the_dispatchers_replay_is_done_once(impostor: Impostor, batch: bytes) -> None:
    token = impostor.token(REPLAYS, batch)
    assert impostor.post(REPLAYS, batch, token).status_code == 200
    refused(impostor.post(REPLAYS, batch, token), 403, 1000)
    (item,) = json.loads(batch)
    first = impostor.outcomes(item["ticketId"])
    assert [(one["status"], one["httpStatus"]) for one in first] == [("DONE", 200)]
    # Another dispatcher, which does not know that it has been done.
    assert impostor.settle(batch) == first


@pytest.mark.parametrize(
    "changes",
    [
        {"key": Ed25519PrivateKey.generate()},
        {"key": "a secret of 32 characters or more", "algorithm": "HS256"},
        {"sub": "somebody"},
        {"iat": int(time.time()) - 100, "exp": int(time.time()) - 60},
        {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 3610},
        {"exp": int(time.time()) + 86_400},
        {"exp": None}, {"jti": None}, {"iat": None}, {"request": None},
        {"request": hashlib.sha256(b"another").hexdigest()},
    ],
    ids=lambda changes: "-".join(changes) + ("" if None not in changes.values() else "-missing"),
)  # fmt: skip
def test_other_tokens_are_refused_and_counted(impostor: Impostor, batch: bytes, changes: dict[str, Any]) -> None:
    before = impostor.refused()
    refused(impostor.post(REPLAYS, batch, impostor.token(REPLAYS, batch, **changes)), 403, 1000)
    assert impostor.refused() == before + 1
    (item,) = json.loads(batch)
    assert impostor.outcomes(item["ticketId"]) == []
    assert impostor.settle(batch)[0]["httpStatus"] == 200


def test_a_replay_without_a_token_is_refused(impostor: Impostor, batch: bytes) -> None:
    for token in (None, "", "x", "a.b.c", "...."):
        refused(impostor.post(REPLAYS, batch, token), 403, 1000)


def test_a_tampered_body_is_refused(impostor: Impostor, batch: bytes) -> None:
    token = impostor.token(REPLAYS, batch)
    (item,) = json.loads(batch)
    other = json.dumps([{**item, "userId": item["userId"] + 1}]).encode()
    refused(impostor.post(REPLAYS, other, token), 403, 1000)
    refused(impostor.post(REPLAYS + "?x=1", batch, token, None), 401, 2001)


def test_people_replay_nothing(impostor: Impostor, line: Line, batch: bytes) -> None:
    user = line.shop.make.person().user
    refused(impostor.post(REPLAYS, batch, impostor.token(REPLAYS, batch), user), 403, 1000)
    refused(impostor.post(REPLAYS, batch, impostor.token(REPLAYS, batch), None), 401, 2001)
    refused(impostor.post(LOOK_UP, b"[]", None, user), 403, 1000)


def _leaving(batch: bytes) -> bytes:
    (item,) = json.loads(batch)
    return json.dumps([{"ticketId": item["ticketId"], "userId": item["userId"], "end": "ABANDONED"}]).encode()


def test_a_ticket_has_one_outcome_whoever_comes_second(impostor: Impostor, batch: bytes) -> None:
    (stands,) = impostor.settle(_leaving(batch))
    assert (stands["status"], stands["httpStatus"], stands["body"]) == ("ABANDONED", None, None)
    assert impostor.settle(batch) == [stands]
    assert impostor.outcomes(stands["ticketId"], "0.0.unknown") == [stands]


def test_who_leaves_too_late_has_a_booking(impostor: Impostor, batch: bytes) -> None:
    first = impostor.settle(batch)
    assert impostor.settle(_leaving(batch)) == first
    assert (first[0]["status"], first[0]["httpStatus"], json.loads(first[0]["body"])["code"]) == ("DONE", 200, 0)


def test_what_is_no_booking_is_handed_back(impostor: Impostor, batch: bytes) -> None:
    (item,) = json.loads(batch)
    body = json.dumps([{**item, "body": "{}"}]).encode()
    answer = impostor.post(REPLAYS, body, impostor.token(REPLAYS, body))
    assert (answer.status_code, answer.json(), impostor.outcomes(item["ticketId"])) == (200, [item["ticketId"]], [])
    end = {"ticketId": item["ticketId"], "userId": item["userId"], "end": "DONE", "httpStatus": 400, "body": "{}"}
    (stands,) = impostor.settle(json.dumps([end]).encode())
    assert (stands["status"], stands["httpStatus"], stands["body"]) == ("DONE", 400, "{}")
    assert impostor.settle(body) == [stands], "what has ended is not handed back"


def test_an_outcome_that_is_none_is_refused(impostor: Impostor) -> None:
    for status in ("WAITING", "", None, 1):
        body = json.dumps([{"ticketId": "0.1.x", "userId": 1, "end": status}]).encode()
        assert outcome(impostor.post(REPLAYS, body, impostor.token(REPLAYS, body))) == (400, 1001)
    too_many = json.dumps([f"0.{number}.x" for number in range(1001)]).encode()
    assert outcome(impostor.post(LOOK_UP, too_many, None)) == (400, 1001)
