"""The error table of the wire contract, as one small tree of exceptions.

Code raises these anywhere below a request; ``common.service`` and the gateway turn them into the contract's envelope.
The numbers up to 4006 are the original platform's, 5000 and up are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from common.language import Language


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One field of a request that cannot be accepted, and why."""

    field: str
    message: str


class PlatformError(Exception):
    """An answer other than success.

    Attributes:
        code: the number that clients decide by.
        status: the HTTP status that goes with it.
        messages: what a person reads, by language.
        data: the envelope's ``data``; ``{}`` unless a subclass says more.
        retry_after: seconds for the ``Retry-After`` header, or None.
    """

    code: ClassVar[int] = 1003
    status: ClassVar[int] = 500
    messages: ClassVar[dict[Language, str]] = {
        Language.KOREAN: "알 수 없는 오류가 발생했습니다.",
        Language.ENGLISH: "An unexpected error occurred.",
    }

    def __init__(self, detail: str = "") -> None:
        """``detail`` goes to the log, never to the client."""
        super().__init__(detail or self.messages[Language.ENGLISH])

    @property
    def data(self) -> Any:
        return {}

    @property
    def retry_after(self) -> int | None:
        return None


def _messages(korean: str, english: str) -> dict[Language, str]:
    return {Language.KOREAN: korean, Language.ENGLISH: english}


class UnexpectedError(PlatformError):
    """Something that should not happen; the client learns nothing but that."""


class NotAuthorized(PlatformError):
    code, status = 1000, 403
    messages = _messages("접근 권한이 없습니다.", "You are not authorized for this request.")


class InvalidInput(PlatformError):
    code, status = 1001, 400
    messages = _messages("입력값이 올바르지 않습니다.", "The input is invalid.")

    def __init__(self, problems: list[FieldProblem]) -> None:
        super().__init__("; ".join(f"{problem.field}: {problem.message}" for problem in problems))
        self.problems = problems

    @classmethod
    def of(cls, field: str, message: str) -> InvalidInput:
        return cls([FieldProblem(field, message)])

    @property
    def data(self) -> Any:
        return [{"field": problem.field, "message": problem.message} for problem in self.problems]


class NotFound(PlatformError):
    code, status = 1002, 404
    messages = _messages("요청한 대상을 찾을 수 없습니다.", "Not found.")


class MethodNotAllowed(NotFound):
    """A known path, asked with another method: 405 by HTTP, and the nearest code that the table has."""

    status = 405
    messages = _messages("지원하지 않는 메서드입니다.", "The method is not allowed here.")


class PayloadTooLarge(InvalidInput):
    """A body over the size limit: 413 by HTTP, invalid input by code."""

    status = 413
    messages = _messages("요청 본문이 너무 큽니다.", "The request body is too large.")

    def __init__(self, limit: int) -> None:
        super().__init__([FieldProblem("body", f"at most {limit} bytes")])


# user-service


class UserNotFound(PlatformError):
    code, status = 2000, 404
    messages = _messages("사용자를 찾을 수 없습니다.", "The user was not found.")


class LoginRequired(PlatformError):
    code, status = 2001, 401
    messages = _messages("로그인이 필요합니다.", "Login required.")


class DuplicateEmail(PlatformError):
    code, status = 2002, 409
    messages = _messages("이미 사용 중인 이메일입니다.", "The email is already in use.")


class EmptyCredentials(PlatformError):
    code, status = 2003, 400
    messages = _messages("이메일과 비밀번호를 입력해 주세요.", "Email and password must not be empty.")


class WrongCredentials(PlatformError):
    code, status = 2004, 401
    messages = _messages("이메일 또는 비밀번호가 올바르지 않습니다.", "Wrong email or password.")


class DuplicateNickname(PlatformError):
    code, status = 2005, 409
    messages = _messages("이미 사용 중인 닉네임입니다.", "The nickname is already in use.")


class DuplicatePhone(PlatformError):
    code, status = 2005, 409
    messages = _messages("이미 사용 중인 전화번호입니다.", "The phone number is already in use.")


class WrongSellerCode(PlatformError):
    code, status = 2006, 400
    messages = _messages("판매자 인증 코드가 올바르지 않습니다.", "Wrong seller code.")


class WrongManagerCode(PlatformError):
    code, status = 2007, 400
    messages = _messages("관리자 인증 코드가 올바르지 않습니다.", "Wrong manager code.")


# concert-service


class ScheduleNotFound(PlatformError):
    code, status = 3000, 404
    messages = _messages("공연 일정을 찾을 수 없습니다.", "The schedule does not exist.")


class VenueNotFound(PlatformError):
    code, status = 3001, 404
    messages = _messages("공연장을 찾을 수 없습니다.", "The venue does not exist.")


class ConcertNotFound(PlatformError):
    code, status = 3002, 404
    messages = _messages("공연을 찾을 수 없습니다.", "The concert does not exist.")


class NotThisSellersConcert(PlatformError):
    code, status = 3003, 403
    messages = _messages("본인이 등록한 공연이 아닙니다.", "This is not your concert.")


class ScheduleBeforeConcert(PlatformError):
    code, status = 3004, 400
    messages = _messages("공연 시작일 이전의 일정입니다.", "The schedule is before the concert's start.")


class ScheduleAfterConcert(PlatformError):
    code, status = 3005, 400
    messages = _messages("공연 종료일 이후의 일정입니다.", "The schedule is after the concert's end.")


# order-service


class SeatAlreadyBooked(PlatformError):
    code, status = 4000, 400
    messages = _messages("이미 예약된 좌석입니다.", "The seat is already booked.")


class BookingNotFound(PlatformError):
    code, status = 4001, 404
    messages = _messages("예약을 찾을 수 없습니다.", "The booking was not found.")


class BookingNotCancellable(PlatformError):
    code, status = 4002, 400
    messages = _messages("취소할 수 없는 예약입니다.", "The booking cannot be cancelled.")


class PaymentNotFound(PlatformError):
    code, status = 4003, 404
    messages = _messages("결제 내역을 찾을 수 없습니다.", "The payment was not found.")


class SameSeatTwice(PlatformError):
    code, status = 4004, 400
    messages = _messages("같은 좌석이 중복되었습니다.", "The same seat is named twice.")


class InvalidSeat(PlatformError):
    code, status = 4005, 400
    messages = _messages("올바르지 않은 좌석입니다.", "The seat is not valid for this venue.")


class PaymentFailed(PlatformError):
    code, status = 4006, 400
    messages = _messages("결제에 실패했습니다.", "The payment failed.")


# the platform


class ServiceUnavailable(PlatformError):
    """A service or its database cannot answer now; the same request may succeed later."""

    code, status = 5000, 503
    messages = _messages("서비스를 일시적으로 사용할 수 없습니다.", "The service is temporarily unavailable.")

    def __init__(self, detail: str = "", retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self._retry_after = retry_after_seconds

    @property
    def retry_after(self) -> int | None:
        return self._retry_after


class IdempotencyKeyReused(PlatformError):
    code, status = 5001, 409
    messages = _messages("다른 요청에 사용된 멱등 키입니다.", "The idempotency key was used for another request.")


class WouldStrandBookings(PlatformError):
    code, status = 5002, 409
    messages = _messages("예약이 있어 변경할 수 없습니다.", "The change would strand active bookings.")


class TicketNotFound(PlatformError):
    code, status = 5003, 404
    messages = _messages("대기표를 찾을 수 없습니다.", "No such ticket.")
