"""How seats are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InvalidSeat, SameSeatTwice
from order.seats import Seat, parse_seats

numbers = st.integers(min_value=1, max_value=999_999_999)
seats = st.builds(Seat, numbers, numbers)


@given(st.lists(seats, min_size=1, max_size=10, unique=True))
def test_what_is_written_is_read_back(wanted: list[Seat]) -> None:
    assert parse_seats([str(seat) for seat in wanted]) == wanted


@given(st.lists(seats, min_size=1, max_size=9, unique=True), st.data())
def test_a_seat_twice_is_noticed_wherever_it_stands(wanted: list[Seat], data: st.DataObject) -> None:
    again = data.draw(st.sampled_from(wanted))
    place = data.draw(st.integers(0, len(wanted)))
    with pytest.raises(SameSeatTwice):
        parse_seats([str(seat) for seat in [*wanted[:place], again, *wanted[place:]]])


@given(st.text())
def test_whatever_is_read_is_written_the_same(text: str) -> None:
    """Nothing is guessed: a text is a seat exactly if it is how that seat is written."""
    try:
        (seat,) = parse_seats([text])
    except InvalidSeat:
        return
    assert str(seat) == text
    assert seat.row > 0
    assert seat.column > 0


@given(seats, st.text(alphabet=" \t\n+-0١1.,\u00a0", min_size=1, max_size=2), st.integers(0, 2))
def test_anything_more_makes_it_none(seat: Seat, more: str, where: int) -> None:
    row, column = str(seat).split(" ")
    text = (f"{more}{seat}", f"{row}{more} {column}", f"{seat}{more}")[where]
    try:
        (read,) = parse_seats([text])
    except InvalidSeat:
        return
    # What was added was digits at the end of a number: another seat, or still a proper one.
    assert str(read) == text


@pytest.mark.parametrize(
    "text", ["0 1", "1 0", "01 1", "1  1", "1", "", "1 1 1", "-1 1", "1000000000 1", "9" * 5000 + " 1"]
)
def test_no_seats(text: str) -> None:
    with pytest.raises(InvalidSeat):
        parse_seats([text])
