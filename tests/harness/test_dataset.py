"""The data that every cell begins with."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from scenarios.dataset import (
    DATASETS,
    VENUE_COLUMNS,
    VENUE_ROWS,
    booking_rows,
    concert_of,
    concert_rows,
    schedule_rows,
    user_rows,
)


def test_the_data_set_is_the_same_every_time() -> None:
    dataset = replace(DATASETS["default"], concerts=30, today=date(2026, 11, 1))
    for rows in (concert_rows, schedule_rows, booking_rows):
        assert list(rows(dataset)) == list(rows(dataset))
    assert list(concert_rows(dataset)) != list(concert_rows(replace(dataset, seed=2)))


def test_the_data_set_keeps_the_platforms_rules() -> None:
    dataset = replace(DATASETS["default"], concerts=30)
    concerts = {row[0]: row for row in concert_rows(dataset)}
    for schedule, concert, venue, day, _ in schedule_rows(dataset):
        assert concert == concert_of(dataset, schedule)
        assert concerts[concert][4] <= day <= concerts[concert][5]
        assert 1 <= venue <= dataset.venues
    seats = [(row[3], row[7], row[8]) for row in booking_rows(dataset)]
    assert len(seats) == len(set(seats)) == dataset.bookings
    assert all(1 <= row <= VENUE_ROWS and 1 <= column <= VENUE_COLUMNS for _, row, column in seats)
    users = list(user_rows(dataset, "hash"))
    for column in (0, 1, 2, 3):
        assert len({user[column] for user in users}) == len(users)
    assert all(len(user[2]) <= 10 and len(user[3]) <= 11 for user in users)


def test_large_is_as_large_as_it_says() -> None:
    large = DATASETS["large"]
    assert (large.concerts, large.schedules, large.bookings) == (2_000, 20_000, 200_000)
