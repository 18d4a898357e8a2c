"""A small theatre for the schema tests: what the documents' examples speak of exists, and can be put back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy import Connection, MetaData, Table, create_engine, text

from common.identity import Role, User
from harness.launch import RunningStage
from payment_simulator.checkout_key import payment_key_for
from tests import plain
from tests.contract.making import Maker, making
from tests.contract.ordering import BOOKINGS, COMPLETE, PRICE, Shop

# Ids as in the documents' examples; each table counts on from there.
FIRST_IDS = {
    "concert": {"concerts": 1, "venues": 4, "schedules": 7},
    "order": {"bookings": 21, "payments": 17},
}
ORDER_ID = "17_x8f2k1"
EMAIL = "buyer@example.com"
PAYMENT_KEY = payment_key_for(ORDER_ID, 2 * PRICE)

# Rows that the tests add get ids from here on.
_LATER_IDS = 1_000


@dataclass(frozen=True)
class Database:
    """A service's database, and what was in it when the theatre was opened."""

    connection: Connection
    tables: Sequence[Table]
    """Each behind those that it refers to."""
    rows: Mapping[str, Sequence[Mapping[str, Any]]]

    @classmethod
    def of(cls, connection: Connection) -> Database:
        metadata = MetaData()
        metadata.reflect(connection)
        tables = [table for table in metadata.sorted_tables if not table.name.startswith("alembic")]
        rows = {table.name: [dict(row) for row in connection.execute(table.select()).mappings()] for table in tables}
        return cls(connection, tables, rows)

    def restore(self) -> None:
        """Only what was there is there again."""
        for table in reversed(self.tables):
            self.connection.execute(table.delete())
        for table in self.tables:
            if self.rows[table.name]:
                self.connection.execute(table.insert(), self.rows[table.name])
            if table.name in {name for first in FIRST_IDS.values() for name in first} | {"users"}:
                _count_from(self.connection, table.name, _LATER_IDS)
        self.connection.commit()


def _count_from(connection: Connection, table: str, first: int) -> None:
    connection.execute(
        text("SELECT setval(pg_get_serial_sequence(:table, 'id'), :first, false)"), {"table": table, "first": first}
    )


@dataclass(frozen=True)
class Theatre:
    """A running stage that sells: bookings 21 and 22 are held, 23 and 24 wait for payment 17, 25 is paid, 26 canceled.

    All of them are of schedule 7, of concert 1 in venue 4; schedule 8, of concert 2 in venue 5, has none.

    Attributes:
        people: who has an account, by role: 1 the manager, 2 the seller, 3 the user.
    """

    platform: RunningStage
    people: Mapping[Role, User]
    databases: Sequence[Database]

    def restore(self) -> None:
        """Puts every database back to what it was when the theatre was opened."""
        for database in self.databases:
            database.restore()


@contextmanager
def opened(platform: RunningStage) -> Iterator[Theatre]:
    """A theatre on a stage whose databases are empty."""
    provider = plain.Client(base_url=platform.service_urls["payment"], auth=(platform.secrets.payment, ""), timeout=20)
    with ExitStack() as stack:
        gateway = stack.enter_context(plain.Client(base_url=platform.gateway_url, timeout=20))
        make = stack.enter_context(making(platform, gateway))
        connections = {
            package: stack.enter_context(create_engine(url.replace("://", "+psycopg://", 1)).connect())
            for package, url in platform.database_urls.items()
        }
        for package, first in FIRST_IDS.items():
            for table, number in first.items():
                _count_from(connections[package], table, number)
            connections[package].commit()
        people = _furnish(make, stack.enter_context(provider))
        databases = [Database.of(connection) for connection in connections.values()]
        for connection in connections.values():
            connection.rollback()
        yield Theatre(platform, people, databases)


def _furnish(make: Maker, provider: httpx.Client) -> dict[Role, User]:
    manager, seller, buyer = (make.account(role).api for role in (Role.MANAGER, Role.SELLER, Role.USER))
    concert = make.concert(seller, price=PRICE)
    schedule = make.schedule(concert, make.venue(row=20, col=30))
    shop = Shop(make, schedule, provider)
    shop.switch(latencyMedianMs=0)
    for seats in (["2 1", "2 2"], ["2 3", "2 4"], ["2 5"], ["2 6"]):
        buyer.post(BOOKINGS, shop.request(buyer, seats))
    for payment, booking_ids in ((17, [23, 24]), (18, [25]), (19, [26])):
        assert shop.payment(buyer, booking_ids) == payment
    for payment in (18, 19):
        assert buyer.patch(COMPLETE, shop.check_out(payment).body) == {}
    assert shop.cancel(buyer, 26).status_code == 200
    assert shop.ends([26], "CANCELED")
    # Nothing is booked there.
    assert make.schedule(make.concert(seller), make.venue())["id"] == 8
    make.rows("user", "UPDATE users SET email = %s WHERE id = 3 RETURNING id", EMAIL)
    people = {api.user.role: api.user for api in (manager, seller, buyer) if api.user}
    assert [people[role].user_id for role in (Role.MANAGER, Role.SELLER, Role.USER)] == [1, 2, 3]
    return people
