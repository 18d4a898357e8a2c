"""What a booking must be like, when a show is over, and how long is waited between two tries."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from common.errors import InvalidInput, InvalidSeat
from order import backoff
from order.bookings import check
from order.schedules import ScheduleDetail
from order.schemas import BookingRequest, CompletionRequest
from order.seats import Seat

SHOW = ScheduleDetail(
    id=7, concert_id=3, concert_name="Spring", runtime=120, price=110_000, seller_id=2, stage_name="Hall",
    location="Seoul", row=10, col=20, concert_date=date(2031, 3, 5), concert_time=time(19, 30),
)  # fmt: skip
# 19:30 in Seoul is 10:30 in UTC; two hours later it is over.
END = datetime(2031, 3, 5, 12, 30, tzinfo=UTC)
BEFORE = END - timedelta(days=1)

REQUEST = BookingRequest.model_validate({"scheduleId": 7, "userId": 3, "price": 110_000, "seat": ["1 1"]})


def test_a_show_is_over_when_it_has_ended_in_korea() -> None:
    assert not SHOW.is_over(END - timedelta(seconds=1))
    assert SHOW.is_over(END)
    assert SHOW.is_over(END + timedelta(days=400))


def test_a_show_after_midnight_ends_on_the_next_day() -> None:
    late = SHOW.model_copy(update={"concert_time": time(23, 30)})
    assert not late.is_over(datetime(2031, 3, 5, 16, 29, tzinfo=UTC))
    assert late.is_over(datetime(2031, 3, 5, 16, 30, tzinfo=UTC))


def test_a_show_can_be_booked_until_it_is_over() -> None:
    check(REQUEST, [Seat(1, 1)], SHOW, END - timedelta(seconds=1))
    with pytest.raises(InvalidInput, match="scheduleId"):
        check(REQUEST, [Seat(1, 1)], SHOW, END)


@given(st.integers(1, 2**31 - 1))
def test_one_price_is_right(price: int) -> None:
    request = REQUEST.model_copy(update={"price": price})
    if price == SHOW.price:
        check(request, [Seat(1, 1)], SHOW, BEFORE)
    else:
        with pytest.raises(InvalidInput, match="price"):
            check(request, [Seat(1, 1)], SHOW, BEFORE)


@given(st.integers(1, 40), st.integers(1, 40))
def test_a_seat_lies_inside_of_the_venue(row: int, column: int) -> None:
    seats = [Seat(1, 1), Seat(row, column)]
    if row <= SHOW.row and column <= SHOW.col:
        check(REQUEST, seats, SHOW, BEFORE)
    else:
        with pytest.raises(InvalidSeat):
            check(REQUEST, seats, SHOW, BEFORE)


def completion(order_id: str) -> CompletionRequest:
    return CompletionRequest.model_validate({"paymentId": "key", "orderId": order_id, "amount": 5})


@given(st.integers(1, 10**18 - 1), st.text(alphabet="abcXYZ019-_=", min_size=1, max_size=40))
def test_an_order_names_our_payment(payment_id: int, suffix: str) -> None:
    assert completion(f"{payment_id}_{suffix}").own_payment_id == payment_id


@pytest.mark.parametrize("order_id", ["17_a\n", "17_é", "1_" + "x" * 63, f"{10**18}_x", "0_x"])
def test_an_order_that_the_provider_or_we_could_not_take(order_id: str) -> None:
    with pytest.raises(ValidationError):
        completion(order_id)


@given(st.integers(0, 32_767))
def test_pauses_between_tries_grow_up_to_a_minute(attempts: int) -> None:
    pause = (backoff.next_attempt(attempts) - datetime.now(UTC)).total_seconds()
    longest = min(backoff.LONGEST_SECONDS, backoff.FIRST_SECONDS * 2 ** min(attempts, 10))
    assert longest / 2 - 1 <= pause <= longest
