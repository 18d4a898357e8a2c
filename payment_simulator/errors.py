"""Toss's error codes, as far as the simulator gives them: HTTP status, Korean and English message.

Source: Toss Payments documentation, "API error codes"; the two of idempotency from "Authorization and other headers".
"""

from __future__ import annotations

from enum import Enum

from common.language import Language


class TossError(Enum):
    """``name`` is the code on the wire."""

    INVALID_REQUEST = (400, "잘못된 요청입니다.", "The bad request.")
    INVALID_ORDER_ID = (
        400,
        "`orderId`는 영문 대소문자, 숫자, 특수문자(-, _, =) 만 허용합니다. 6자 이상 64자 이하여야 합니다.",
        "`orderId` must be 6 to 64 upper and lower case letters, digits and special characters (-, _, =).",
    )
    INVALID_IDEMPOTENCY_KEY = (
        400, "멱등키는 300자 이하여야 합니다.", "The idempotency key must be 300 characters or less.",
    )  # fmt: skip
    ALREADY_PROCESSED_PAYMENT = (
        400, "이미 처리된 결제 입니다.", "This is a payment that has already been processed.",
    )  # fmt: skip
    ALREADY_CANCELED_PAYMENT = (400, "이미 취소된 결제 입니다.", "The payment has already been canceled.")
    DUPLICATED_ORDER_ID = (
        400,
        "이미 승인 및 취소가 진행된 중복된 주문번호 입니다. 다른 주문번호로 진행해주세요.",
        "This is a duplicate order id that has already been approved or canceled.",
    )
    UNAUTHORIZED_KEY = (
        401,
        "인증되지 않은 시크릿 키 혹은 클라이언트 키 입니다.",
        "Unauthorized secretKey or clientKey.",
    )
    INCORRECT_BASIC_AUTH_FORMAT = (
        403,
        "잘못된 요청입니다. ':' 를 포함해 인코딩해주세요.",
        "Wrong request format. You must append ':' after the secret key.",
    )
    FORBIDDEN_REQUEST = (403, "허용되지 않은 요청입니다.", "This request is not allowed.")
    REJECT_CARD_PAYMENT = (
        403, "한도초과 혹은 잔액부족으로 결제에 실패했습니다.", "Limit exceeded or insufficient balance.",
    )  # fmt: skip
    NOT_CANCELABLE_PAYMENT = (403, "취소 할 수 없는 결제 입니다.", "This is a payment that cannot be canceled.")
    NOT_CANCELABLE_AMOUNT = (403, "취소 할 수 없는 금액 입니다.", "This is an amount that cannot be canceled.")
    NOT_FOUND = (404, "존재하지 않는 정보 입니다.", "Not found.")
    NOT_FOUND_PAYMENT = (404, "존재하지 않는 결제 정보 입니다.", "Not found payment.")
    NOT_FOUND_PAYMENT_SESSION = (
        404, "결제 시간이 만료되어 결제 진행 데이터가 존재하지 않습니다.", "The payment session has expired.",
    )  # fmt: skip
    IDEMPOTENT_REQUEST_PROCESSING = (
        409, "이전 멱등 요청이 처리중입니다.", "The previous idempotent request is being processed.",
    )  # fmt: skip
    FAILED_INTERNAL_SYSTEM_PROCESSING = (
        500,
        "내부 시스템 처리 작업이 실패했습니다. 잠시 후 다시 시도해주세요.",
        "Internal system processing failed. Please try again later.",
    )
    FAILED_PAYMENT_INTERNAL_SYSTEM_PROCESSING = (
        500,
        "결제가 완료되지 않았어요. 다시 시도해주세요.",
        "The payment was not completed. Please try again.",
    )

    def __init__(self, status: int, korean: str, english: str) -> None:
        self.status = status
        self.korean = korean
        self.english = english

    def message(self, language: Language) -> str:
        return self.english if language is Language.ENGLISH else self.korean


class Refusal(Exception):
    """A request that is answered with an error of Toss's."""

    def __init__(self, error: TossError) -> None:
        super().__init__(error.name)
        self.error = error
