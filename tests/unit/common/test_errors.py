"""The error table, line by line as in the wire contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common import errors
from common.errors import FieldProblem, InvalidInput, PlatformError, ServiceUnavailable
from common.language import Language

CONTRACT = [
    (errors.NotAuthorized, 1000, 403),
    (errors.InvalidInput, 1001, 400),
    (errors.PayloadTooLarge, 1001, 413),
    (errors.NotFound, 1002, 404),
    (errors.MethodNotAllowed, 1002, 405),
    (errors.UnexpectedError, 1003, 500),
    (errors.UserNotFound, 2000, 404),
    (errors.LoginRequired, 2001, 401),
    (errors.DuplicateEmail, 2002, 409),
    (errors.DuplicateNickname, 2005, 409),
    (errors.DuplicatePhone, 2005, 409),
    (errors.EmptyCredentials, 2003, 400),
    (errors.WrongCredentials, 2004, 401),
    (errors.WrongSellerCode, 2006, 400),
    (errors.WrongManagerCode, 2007, 400),
    (errors.ScheduleNotFound, 3000, 404),
    (errors.VenueNotFound, 3001, 404),
    (errors.ConcertNotFound, 3002, 404),
    (errors.NotThisSellersConcert, 3003, 403),
    (errors.ScheduleBeforeConcert, 3004, 400),
    (errors.ScheduleAfterConcert, 3005, 400),
    (errors.SeatAlreadyBooked, 4000, 400),
    (errors.BookingNotFound, 4001, 404),
    (errors.BookingNotCancellable, 4002, 400),
    (errors.PaymentNotFound, 4003, 404),
    (errors.SameSeatTwice, 4004, 400),
    (errors.InvalidSeat, 4005, 400),
    (errors.PaymentFailed, 4006, 400),
    (errors.ServiceUnavailable, 5000, 503),
    (errors.IdempotencyKeyReused, 5001, 409),
    (errors.WouldStrandBookings, 5002, 409),
    (errors.TicketNotFound, 5003, 404),
]


def everything_under(error: type[PlatformError]) -> Iterator[type[PlatformError]]:
    for child in error.__subclasses__():
        yield child
        yield from everything_under(child)


@pytest.mark.parametrize(("error", "code", "status"), CONTRACT)
def test_code_and_status_are_the_contracts(error: type[PlatformError], code: int, status: int) -> None:
    assert (error.code, error.status) == (code, status)


def test_there_is_no_error_that_the_contract_does_not_know() -> None:
    ours = {error for error in everything_under(PlatformError) if error.__module__ == "common.errors"}
    assert ours == {error for error, _, _ in CONTRACT}


@pytest.mark.parametrize("error", [error for error, _, _ in CONTRACT])
def test_every_error_speaks_both_languages(error: type[PlatformError]) -> None:
    assert any("가" <= letter <= "힣" for letter in error.messages[Language.KOREAN])
    assert error.messages[Language.ENGLISH].isascii()
    assert error.messages[Language.ENGLISH].strip()


def test_an_error_says_nothing_in_data_unless_the_input_was_wrong() -> None:
    assert errors.WrongCredentials("who and why").data == {}
    problems = [FieldProblem("page", "must not be negative"), FieldProblem("size", "at most 100")]
    assert InvalidInput(problems).data == [
        {"field": "page", "message": "must not be negative"},
        {"field": "size", "message": "at most 100"},
    ]
    assert errors.PayloadTooLarge(1024).data == [{"field": "body", "message": "at most 1024 bytes"}]


def test_only_an_unavailable_service_says_when_to_try_again() -> None:
    assert ServiceUnavailable("gone").retry_after == 1
    assert ServiceUnavailable("gone", retry_after_seconds=7).retry_after == 7
    assert errors.WrongCredentials().retry_after is None
