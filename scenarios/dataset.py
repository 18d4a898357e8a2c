"""The data that a measurement starts from: made from a seed, the same for every stage."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from functools import lru_cache
from typing import Any

from common.identity import Role, User
from payment_simulator.checkout_key import payment_key_for

ON_SALE = 100
"""Shows that people look at and book, the first ones: few enough that a cache can be of use, and each with seats for a
long measurement."""

VENUE_ROWS, VENUE_COLUMNS = 50, 40
FREE_SEATS = VENUE_ROWS * VENUE_COLUMNS // 2
"""Seeded bookings are in the front half of the venue; the back half is for the load."""
_SHOW_TIMES = (time(14), time(18), time(19, 30), time(20))
_ARTISTS = ("아이유", "새소년", "잔나비", "이날치", "Nell", "검정치마", "Cheeze", "선우정아", "10CM", "실리카겔")
_EVENTS = ("단독 콘서트", "Live Tour", "연말 공연", "Encore", "봄 소풍", "Club Night")


@dataclass(frozen=True)
class Dataset:
    """How much of everything there is, and the seed that decides the rest.

    User ids: 1 is the manager, 2 the demo seller, 3 the demo buyer; then sellers, then the load's buyers.
    """

    name: str
    concerts: int
    schedules_per_concert: int
    bookings_per_schedule: int
    venues: int = 20
    sellers: int = 20
    buyers: int = 1_000
    seed: int = 1
    today: date = date(2030, 1, 1)
    """Shows begin a month after this day, so that none is over."""

    @property
    def schedules(self) -> int:
        return self.concerts * self.schedules_per_concert

    @property
    def bookings(self) -> int:
        return self.schedules * self.bookings_per_schedule

    @property
    def manager(self) -> User:
        return User(1, "manager@fortickets.example", Role.MANAGER)

    @property
    def seller(self) -> User:
        return User(2, "seller@fortickets.example", Role.SELLER)

    @property
    def buyer(self) -> User:
        return User(3, "buyer@fortickets.example", Role.USER)

    @property
    def load_users(self) -> list[User]:
        """The buyers that the load logs in as."""
        first = 4 + self.sellers
        return [User(first + number, f"buyer{number}@fortickets.example", Role.USER) for number in range(self.buyers)]

    @property
    def all_users(self) -> list[User]:
        sellers = [
            User(4 + number, f"seller{number}@fortickets.example", Role.SELLER) for number in range(self.sellers)
        ]
        return [self.manager, self.seller, self.buyer, *sellers, *self.load_users]


DATASETS: Mapping[str, Dataset] = {
    "default": Dataset("default", concerts=500, schedules_per_concert=4, bookings_per_schedule=10),
    "large": Dataset("large", concerts=2_000, schedules_per_concert=10, bookings_per_schedule=10),
}

Rows = Iterable[Sequence[Any]]
"""Rows of a table, their columns in the order of its ``FIELDS``."""

USER_FIELDS = ("id", "email", "nickname", "phone", "profile_image", "password_hash", "role")
VENUE_FIELDS = ("id", "name", "location", "row_count", "column_count")
CONCERT_FIELDS = ("id", "user_id", "name", "run_time", "start_date", "end_date", "price", "image")
SCHEDULE_FIELDS = ("id", "concert_id", "venue_id", "concert_date", "concert_time")
PAYMENT_FIELDS = (
    "id", "user_id", "concert_id", "schedule_id", "total_price", "status", "payment_key", "order_id", "card",
)  # fmt: skip
BOOKING_FIELDS = (
    "id", "user_id", "concert_id", "schedule_id", "payment_id", "price", "status", "seat_row", "seat_column",
)  # fmt: skip


def user_rows(dataset: Dataset, password_hash: str) -> Rows:
    """Everybody; each has the same password."""
    for user in dataset.all_users:
        nickname = f"u{user.user_id:05d}"
        phone = f"010{user.user_id:08d}"
        yield user.user_id, user.email, nickname, phone, "", password_hash, user.role.value


def venue_rows(dataset: Dataset) -> Rows:
    for venue in range(1, dataset.venues + 1):
        yield venue, f"{venue}관", "서울", VENUE_ROWS, VENUE_COLUMNS


def concert_rows(dataset: Dataset) -> Rows:
    chosen = random.Random(dataset.seed)
    for concert in range(1, dataset.concerts + 1):
        name = f"{chosen.choice(_ARTISTS)} {chosen.choice(_EVENTS)} {concert}"
        start, end = _run_of(dataset, concert)
        price = chosen.randrange(33, 166) * 1_000
        image = f"https://images.fortickets.example/{concert}.jpg"
        yield concert, _seller_of(dataset, concert), name, chosen.randrange(80, 181), start, end, price, image


def schedule_rows(dataset: Dataset) -> Rows:
    chosen = random.Random(dataset.seed + 1)
    for schedule in range(1, dataset.schedules + 1):
        concert = concert_of(dataset, schedule)
        start, _ = _run_of(dataset, concert)
        day = start + timedelta(days=(schedule - 1) % dataset.schedules_per_concert)
        yield schedule, concert, chosen.randrange(1, dataset.venues + 1), day, chosen.choice(_SHOW_TIMES)


def booking_rows(dataset: Dataset) -> Rows:
    chosen = random.Random(dataset.seed + 2)
    known = prices(dataset)
    buyers = dataset.load_users
    booking = 0
    for schedule in range(1, dataset.schedules + 1):
        concert = concert_of(dataset, schedule)
        for seat in chosen.sample(range(FREE_SEATS), dataset.bookings_per_schedule):
            booking += 1
            row, column = seat // VENUE_COLUMNS + 1, seat % VENUE_COLUMNS + 1
            buyer = chosen.choice(buyers).user_id
            price = known[concert]
            yield booking, buyer, concert, schedule, booking, price, "CONFIRMED", row, column


def payment_rows(bookings: Rows) -> Rows:
    """Each seeded booking has been paid for on its own; payment and booking have the same id."""
    for _, user, concert, schedule, payment, price, *_ in bookings:
        order = f"{payment}_seeded"
        yield payment, user, concert, schedule, price, "COMPLETED", payment_key_for(order, price), order, "신한"


@lru_cache(maxsize=1)
def sold_rows(dataset: Dataset) -> tuple[Sequence[Sequence[Any]], Sequence[Sequence[Any]]]:
    """The bookings and their payments: made once a run, and seeded for every cell of it."""
    bookings = list(booking_rows(dataset))
    return bookings, list(payment_rows(bookings))


def concert_of(dataset: Dataset, schedule: int) -> int:
    """The concert that a schedule belongs to; both are numbered from 1."""
    return (schedule - 1) // dataset.schedules_per_concert + 1


def prices(dataset: Dataset) -> Mapping[int, int]:
    """Concert id to the price of a seat, in won."""
    return {row[0]: row[6] for row in concert_rows(dataset)}


def free_seat(number: int) -> str:
    """The ``number``-th seat, from 0, of those that no seeded booking holds: the venue's back rows."""
    row, column = VENUE_ROWS // 2 + 1 + number // VENUE_COLUMNS, number % VENUE_COLUMNS + 1
    return f"{row} {column}"


def booking_owners(dataset: Dataset) -> list[int]:
    """The owner of each seeded booking, as a number among the load's users."""
    first = dataset.load_users[0].user_id
    bookings, _ = sold_rows(dataset)
    return [row[1] - first for row in bookings]


def _seller_of(dataset: Dataset, concert: int) -> int:
    """The demo seller has every tenth concert, the others share the rest."""
    return dataset.seller.user_id if concert % 10 == 1 else 4 + concert % dataset.sellers


def _run_of(dataset: Dataset, concert: int) -> tuple[date, date]:
    """First and last day of a concert: spread over a year that begins a month after the data set's day."""
    start = dataset.today + timedelta(days=31 + concert % 365)
    return start, start + timedelta(days=dataset.schedules_per_concert + 1)
