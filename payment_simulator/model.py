"""Payments as the ledger knows them, and Toss's Payment object made of them.

Source of the object's fields: Toss Payments documentation, "Payment object", API version 2022-11-16.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

API_VERSION = "2022-11-16"
KOREA = timezone(timedelta(hours=9))

# Issuers by Toss's two-digit codes: KB 11, Hana 21, Toss Bank 24, Shinhan 41, Samsung 51, Hyundai 61, Lotte 71, NH 91.
_ISSUERS = ("11", "21", "24", "41", "51", "61", "71", "91")


class Status(StrEnum):
    """READY is not among them: a checkout of the simulator is one whose buyer has been authenticated already."""

    IN_PROGRESS = "IN_PROGRESS"
    EXPIRED = "EXPIRED"
    ABORTED = "ABORTED"
    DONE = "DONE"
    PARTIAL_CANCELED = "PARTIAL_CANCELED"
    CANCELED = "CANCELED"


@dataclass(frozen=True)
class Checkout:
    """What the buyer agreed to in the widget: a payment key, bound to one order and one amount (won)."""

    payment_key: str
    order_id: str
    order_name: str
    amount: int
    created_ms: int


@dataclass(frozen=True)
class Cancel:
    transaction_key: str
    amount: int
    reason: str
    balance_after: int
    canceled_ms: int


@dataclass(frozen=True)
class Payment:
    """A checkout and what became of it. Amounts in won, times in milliseconds since the epoch."""

    checkout: Checkout
    status: Status
    balance: int
    approved_ms: int | None = None
    transaction_key: str | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    cancels: Sequence[Cancel] = ()


def transaction_key(payment_key: str, number: int) -> str:
    """The key of a payment's approval (``number`` 0) or of its nth cancel: 32 hexadecimal digits, as Toss's are."""
    return hashlib.blake2b(f"{payment_key}:{number}".encode(), digest_size=16).hexdigest().upper()


def toss_payment(payment: Payment) -> dict[str, Any]:
    """The Payment object. What the simulator has nothing to say of (receipt, cash receipt, escrow …) is null."""
    checkout = payment.checkout
    # Korea's value added tax is a tenth of the net price; of a refunded payment it is that of what remains.
    vat = round(payment.balance / 11)
    failure = None
    if payment.failure_code is not None:
        failure = {"code": payment.failure_code, "message": payment.failure_message}
    return {
        "mId": "simulator",
        "version": API_VERSION,
        "lastTransactionKey": payment.cancels[-1].transaction_key if payment.cancels else payment.transaction_key,
        "paymentKey": checkout.payment_key,
        "orderId": checkout.order_id,
        "orderName": checkout.order_name,
        "currency": "KRW",
        "method": "카드",
        "status": payment.status.value,
        "requestedAt": _korean_time(checkout.created_ms),
        "approvedAt": None if payment.approved_ms is None else _korean_time(payment.approved_ms),
        "useEscrow": False,
        "cultureExpense": False,
        "card": _card(checkout),
        "virtualAccount": None,
        "transfer": None,
        "mobilePhone": None,
        "giftCertificate": None,
        "cashReceipt": None,
        "cashReceipts": None,
        "discount": None,
        "cancels": [_toss_cancel(cancel) for cancel in payment.cancels] or None,
        "secret": None,
        "type": "NORMAL",
        "easyPay": None,
        "country": "KR",
        "failure": failure,
        "isPartialCancelable": True,
        "receipt": None,
        "checkout": None,
        "totalAmount": checkout.amount,
        "balanceAmount": payment.balance,
        "suppliedAmount": payment.balance - vat,
        "vat": vat,
        "taxFreeAmount": 0,
        "taxExemptionAmount": 0,
    }


def _toss_cancel(cancel: Cancel) -> dict[str, Any]:
    return {
        "transactionKey": cancel.transaction_key,
        "cancelReason": cancel.reason,
        "cancelAmount": cancel.amount,
        "canceledAt": _korean_time(cancel.canceled_ms),
        "refundableAmount": cancel.balance_after,
        "taxFreeAmount": 0,
        "taxExemptionAmount": 0,
        "easyPayDiscountAmount": 0,
        "receiptKey": None,
        "cancelStatus": "DONE",
        "cancelRequestId": None,
    }


def _card(checkout: Checkout) -> dict[str, Any]:
    digest = hashlib.blake2b(checkout.payment_key.encode(), digest_size=8).digest()
    issuer = _ISSUERS[digest[0] % len(_ISSUERS)]
    digits = f"{int.from_bytes(digest[1:]):012d}"
    return {
        "issuerCode": issuer,
        "acquirerCode": issuer,
        "number": f"{digits[:8]}****{digits[8:11]}*",
        "installmentPlanMonths": 0,
        "isInterestFree": False,
        "interestPayer": None,
        "approveNo": "00000000",
        "useCardPoint": False,
        "cardType": "신용",
        "ownerType": "개인",
        "acquireStatus": "READY",
        "amount": checkout.amount,
    }


def _korean_time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds // 1000, UTC).astimezone(KOREA).isoformat()
