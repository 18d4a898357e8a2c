"""Data for the tests, made through the API under names that no other test uses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from common.identity import Role, User
from harness.launch import RunningStage
from tests.contract.client import Api

CONCERTS = "/concert-service/concerts"
SCHEDULES = "/concert-service/schedules"
VENUES = "/concert-service/stages"
USERS = "/user-service/users"
SIGN_UP = "/user-service/auth/sign-up"
LOGIN = "/user-service/auth/login"
SEATS = "/order-service/bookings/seats"

PASSWORD = "Passw0rd!"

_numbers = itertools.count(1)
# Far from the ids of accounts that are opened, so that a minted token is nobody else's.
_MINTED_FROM = 1_000_000


def number() -> int:
    """A number that nothing else in this session has."""
    return next(_numbers)


def sign_up_body(**changes: Any) -> dict[str, Any]:
    """A complete sign-up of somebody new."""
    unique = number()
    return {
        "nickname": f"fan{unique}", "email": f"fan{unique}@example.com", "password": PASSWORD,
        "phone": f"010{unique:08}", "profileImage": "https://images.example/fan.png", **changes,
    }  # fmt: skip


def concert_body(**changes: Any) -> dict[str, Any]:
    """A complete new concert, in March 2031."""
    return {
        "concertName": f"Concert {number()}", "runTime": 120, "startDate": "2031-03-01", "endDate": "2031-03-31",
        "price": 110_000, "concertImage": "https://images.example/concert.jpg", **changes,
    }  # fmt: skip


def venue_body(**changes: Any) -> dict[str, Any]:
    """A complete new venue of 10 rows with 20 seats each."""
    return {"name": f"Hall {number()}", "location": "Seoul", "row": 10, "col": 20, **changes}


@dataclass(frozen=True)
class Account:
    """Somebody who has signed up."""

    api: Api
    nickname: str
    email: str
    phone: str


@dataclass(frozen=True)
class Maker:
    """Makes what a test needs on one running stage."""

    platform: RunningStage
    http: httpx.Client
    connections: Mapping[str, psycopg.Connection[dict[str, Any]]]
    """Package to its database."""

    def person(self, role: Role = Role.USER) -> Api:
        """Somebody new with a token, but without an account."""
        user_id = _MINTED_FROM + number()
        return Api(self.http, User(user_id, f"minted{user_id}@example.com", role), self.platform.secrets.jwt)

    def account(self, role: Role = Role.USER) -> Account:
        """Somebody new who has signed up."""
        secrets = self.platform.secrets
        claimed = {
            Role.USER: {},
            Role.SELLER: {"isSeller": True, "sellerToken": secrets.seller_code},
            Role.MANAGER: {"isManager": True, "managerToken": secrets.manager_code},
        }[role]
        body = sign_up_body(**claimed)
        Api(self.http).post(SIGN_UP, body)
        (row,) = self.rows("user", "SELECT id FROM users WHERE email = %s", body["email"])
        user = User(row["id"], body["email"], role)
        return Account(Api(self.http, user, secrets.jwt), body["nickname"], body["email"], body["phone"])

    def venue(self, **changes: Any) -> Any:
        return self.person(Role.MANAGER).post(VENUES, venue_body(**changes))

    def concert(self, seller: Api | None = None, **changes: Any) -> Any:
        return (seller or self.person(Role.SELLER)).post(CONCERTS, concert_body(**changes))

    def schedule(self, concert: Any = None, venue: Any = None, **changes: Any) -> Any:
        """A new evening, of a new concert and in a new venue unless they are given."""
        body = {
            "concertId": (concert or self.concert())["id"], "stageId": (venue or self.venue())["id"],
            "concertDate": "2031-03-05", "concertTime": "19:30:00", **changes,
        }  # fmt: skip
        return self.person(Role.MANAGER).post(SCHEDULES, body)

    def booking(self, schedule: Any, seat: str, status: str = "CONFIRMED") -> None:
        """A booking of one seat, straight in the database: what it means must not depend on how it was made."""
        row, column = seat.split()
        self.rows(
            "order",
            "INSERT INTO bookings (user_id, concert_id, schedule_id, price, status, seat_row, seat_column, expires_at)"
            " VALUES (%s, %s, %s, 110000, %s, %s, %s, now() + interval '1 day') RETURNING id",
            number(), schedule["concertId"], schedule["id"], status, int(row), int(column),
        )  # fmt: skip

    def rows(self, package: str, query: str, *values: Any) -> list[dict[str, Any]]:
        """What a service's database says, deleted rows included."""
        return self.connections[package].execute(query.encode(), values).fetchall()

    def count(self, table: str) -> int:
        """How many rows a table has, deleted ones included."""
        package = {"users": "user", "bookings": "order"}.get(table, "concert")
        (row,) = self.rows(package, f"SELECT count(*) AS n FROM {table}")
        return int(row["n"])


@contextmanager
def making(platform: RunningStage, http: httpx.Client) -> Iterator[Maker]:
    """A ``Maker`` with connections of its own to the stage's databases."""
    with ExitStack() as stack:
        connections = {
            package: stack.enter_context(psycopg.connect(url, autocommit=True, row_factory=dict_row))
            for package, url in platform.database_urls.items()
        }
        yield Maker(platform, http, connections)
