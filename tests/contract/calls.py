"""Every call of the contract that this version serves, and who may make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.contract.making import concert_body, sign_up_body, venue_body

OK = (200, 0)
LOGIN_REQUIRED = (401, 2001)
NOT_AUTHORIZED = (403, 1000)
NOT_YOURS = (403, 3003)

Ids = dict[str, Any]
Body = Callable[[Ids], Any]


@dataclass(frozen=True)
class Call:
    """One line of the contract: the call, and its answer to each kind of caller.

    Attributes:
        path: with ``{concert}``, ``{schedule}``, ``{venue}``, ``{user}`` and ``{nickname}`` to be filled in.
        user, seller, other_seller, manager: status and code for each; ``seller`` owns the concert.
    """

    method: str
    path: str
    user: tuple[int, int]
    seller: tuple[int, int]
    other_seller: tuple[int, int]
    manager: tuple[int, int]
    body: Body | None = field(default=None, repr=False)
    nobody: tuple[int, int] = LOGIN_REQUIRED

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def _anyone(method: str, path: str, body: Body | None = None) -> Call:
    return Call(method, path, OK, OK, OK, OK, body)


def _sellers(method: str, path: str, body: Body | None = None) -> Call:
    return Call(method, path, NOT_AUTHORIZED, OK, OK, OK, body)


def _owner(method: str, path: str, body: Body | None = None) -> Call:
    return Call(method, path, NOT_AUTHORIZED, OK, NOT_YOURS, OK, body)


def _managers(method: str, path: str, body: Body | None = None) -> Call:
    return Call(method, path, NOT_AUTHORIZED, NOT_AUTHORIZED, NOT_AUTHORIZED, OK, body)


def _services(method: str, path: str, body: Body | None = None) -> Call:
    return Call(method, path, NOT_AUTHORIZED, NOT_AUTHORIZED, NOT_AUTHORIZED, NOT_AUTHORIZED, body)


def _schedule(ids: Ids) -> Any:
    return {
        "concertId": ids["concert"], "stageId": ids["venue"], "concertDate": "2031-03-06", "concertTime": "20:00:00",
    }  # fmt: skip


def _profile(_: Ids) -> Any:
    body = sign_up_body()
    del body["email"]
    return body


FOR_PEOPLE = [
    _anyone("GET", "/user-service/users"),
    _anyone("PUT", "/user-service/users", _profile),
    _managers("GET", "/user-service/users/all"),
    _sellers("POST", "/concert-service/concerts", lambda _: concert_body()),
    _anyone("GET", "/concert-service/concerts"),
    _anyone("GET", "/concert-service/concerts?page=0&size=1&sort=id,desc"),
    _anyone("GET", "/concert-service/concerts/{concert}"),
    _owner("PATCH", "/concert-service/concerts/{concert}", lambda _: {"price": 1}),
    _owner("DELETE", "/concert-service/concerts/{concert}"),
    _anyone("GET", "/concert-service/concerts/search?concert-name=a"),
    _owner("POST", "/concert-service/schedules", _schedule),
    _anyone("GET", "/concert-service/schedules/{schedule}"),
    _owner("PATCH", "/concert-service/schedules/{schedule}", lambda _: {"concertTime": "18:00:00"}),
    _owner("DELETE", "/concert-service/schedules/{schedule}"),
    _managers("POST", "/concert-service/stages", lambda _: venue_body()),
    _managers("PATCH", "/concert-service/stages/{venue}", lambda _: {"name": "Renamed"}),
    _managers("DELETE", "/concert-service/stages/{venue}"),
    _anyone("GET", "/concert-service/stages"),
    _anyone("GET", "/concert-service/stages/{venue}"),
    _anyone("GET", "/order-service/bookings/seats/{schedule}"),
]

BETWEEN_SERVICES = [
    _services("GET", "/user-service/users/{user}"),
    _services("GET", "/user-service/users/{nickname}/nickname"),
    _services("GET", "/concert-service/concerts/{concert}/detail"),
    _services("GET", "/concert-service/concerts/{user}/seller"),
    _services("GET", "/concert-service/concerts/{user}/Concert/search"),
    _services("GET", "/concert-service/concerts/Concert/search"),
    _services("POST", "/concert-service/concerts/list", lambda ids: [ids["concert"]]),
    _services("GET", "/concert-service/schedules/{schedule}/detail"),
]
