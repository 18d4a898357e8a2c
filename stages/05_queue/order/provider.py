"""The payment provider: Toss Payments' core API, or the simulator that speaks it.

Every call carries an ``Idempotency-Key``, so that asking again is always safe: the provider does the work once and
gives its first answer again. What it answers is one of three things: done, refused for good, or unknown
(``ServiceUnavailable``: no answer, a 5xx, or another request under the same key still being worked on).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import aiohttp
from prometheus_client import Counter
from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json
from yarl import URL

from common.errors import ServiceUnavailable
from common.wire import WireModel

CALLS = Counter("order_provider_calls", "Calls to the payment provider.", ["operation", "outcome"])

_PAID = ("DONE", "PARTIAL_CANCELED")

# Not the buyer's fault and not about this payment: our key, our speed, a request under way.
_UNDECIDED_STATUS = (401, 408, 409, 425, 429)
_UNDECIDED_CODES = ("INCORRECT_BASIC_AUTH_FORMAT", "FORBIDDEN_CONSECUTIVE_REQUEST")

_RETRY_AFTER_SECONDS = 2


class Refused(Exception):
    """The provider says no, and will not say anything else to this request.

    Attributes:
        code: Toss's error code.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class InProgress(ServiceUnavailable):
    """The provider is working on another request under the same key; its answer will be this one's, too."""


class Card(WireModel):
    number: str


class ProviderCancel(WireModel):
    """One refund of a payment."""

    transaction_key: str
    cancel_reason: str
    cancel_amount: int


class ProviderPayment(WireModel):
    """As much of Toss's Payment object as matters here. Amounts in won."""

    payment_key: str
    order_id: str
    status: str
    total_amount: int
    card: Card | None = None
    cancels: list[ProviderCancel] | None = None

    @property
    def is_paid(self) -> bool:
        """Whether its money has been taken, and not all of it given back."""
        return self.status in _PAID


class _Failure(WireModel):
    code: str


_PAYMENT = TypeAdapter(ProviderPayment)
_FAILURE = TypeAdapter(_Failure)


class Provider:
    """The merchant's side of the provider's API: HTTP Basic, the secret key as user name and no password."""

    def __init__(self, base_url: str, secret_key: str, *, timeout_seconds: float) -> None:
        self._base_url = base_url.rstrip("/")
        self._authorization = aiohttp.encode_basic_auth(secret_key, "")
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Must run on the event loop that will use the client."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=512),
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"authorization": self._authorization},
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def confirm(self, payment_key: str, order_id: str, amount: int, *, key: str) -> ProviderPayment:
        """Takes the money of a checkout, once for each ``key``.

        A key's first answer comes again whatever is asked under it later, so who asks must look at what it is about.

        Raises:
            Refused: it was not taken.
            ServiceUnavailable: nobody knows.
        """
        body = {"paymentKey": payment_key, "orderId": order_id, "amount": amount}
        return await self._ask("confirm", "POST", "/v1/payments/confirm", body, key=key)

    async def cancel(self, payment_key: str, amount: int, reason: str, *, key: str) -> ProviderPayment:
        """Gives back ``amount``, once for each ``key``.

        Raises:
            Refused: it was not given back by this request.
            ServiceUnavailable: nobody knows.
        """
        body = {"cancelReason": reason, "cancelAmount": amount}
        return await self._ask("cancel", "POST", f"/v1/payments/{_segment(payment_key)}/cancel", body, key=key)

    async def find_order(self, order_id: str) -> ProviderPayment | None:
        """What has become of an order: its paid payment, else its latest checkout, else None.

        Raises:
            ServiceUnavailable: nobody knows.
        """
        return await self._find(f"/v1/payments/orders/{_segment(order_id)}")

    async def find_payment(self, payment_key: str) -> ProviderPayment | None:
        """The payment of that key; raises as ``find_order`` does."""
        return await self._find(f"/v1/payments/{_segment(payment_key)}")

    async def _find(self, target: str) -> ProviderPayment | None:
        try:
            return await self._ask("find", "GET", target)
        except Refused as refusal:
            if refusal.code == "NOT_FOUND_PAYMENT":
                return None
            raise ServiceUnavailable(f"payment provider: {refusal.code}") from refusal

    async def _ask(
        self, operation: str, method: str, target: str, body: Any = None, key: str | None = None
    ) -> ProviderPayment:
        if self._session is None:
            raise RuntimeError("Provider.open() was not awaited")
        headers = {} if key is None else {"idempotency-key": key, "content-type": "application/json"}
        content = None if body is None else to_json(body)
        url = URL(self._base_url + target, encoded=True)
        try:
            async with self._session.request(method, url, data=content, headers=headers) as response:
                answer = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            CALLS.labels(operation, "no_answer").inc()
            raise _unknown(f"{type(problem).__name__}: {problem}") from problem
        try:
            if status == 200:
                payment = _PAYMENT.validate_json(answer)
                CALLS.labels(operation, "done").inc()
                return payment
            code = _FAILURE.validate_json(answer).code
        except ValidationError as strange:
            CALLS.labels(operation, "strange").inc()
            raise _unknown(f"HTTP {status} with a body that is none of its own") from strange
        if code == "IDEMPOTENT_REQUEST_PROCESSING":
            CALLS.labels(operation, "in_progress").inc()
            raise InProgress("payment provider: another request is under way", _RETRY_AFTER_SECONDS)
        if status >= 500 or status in _UNDECIDED_STATUS or code in _UNDECIDED_CODES:
            CALLS.labels(operation, "unavailable").inc()
            raise _unknown(f"HTTP {status} {code}")
        CALLS.labels(operation, "refused").inc()
        raise Refused(code)


def _unknown(problem: str) -> ServiceUnavailable:
    return ServiceUnavailable(f"payment provider: {problem}", retry_after_seconds=_RETRY_AFTER_SECONDS)


def _segment(text: str) -> str:
    """A path segment, percent-encoded."""
    return quote(text, safe="")
