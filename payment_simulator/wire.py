"""Requests and answers over HTTP: bodies, Basic authentication, Toss's error object, the answer that never comes."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from common.language import Language
from payment_simulator.errors import Refusal, TossError
from payment_simulator.idempotency import Answer
from payment_simulator.model import Payment, toss_payment

# The largest amount that the rule for payment keys can express; a bigint and SQLite's INTEGER hold more.
Won = Annotated[int, Field(gt=0, lt=10**18)]
ORDER_ID = r"[A-Za-z0-9_=-]{6,64}"


class Body(BaseModel):
    """camelCase on the wire; nothing is coerced; unknown fields are ignored, as Toss does."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, frozen=True)


class ConfirmBody(Body):
    payment_key: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    order_id: str
    amount: Won


class CancelBody(Body):
    cancel_reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    cancel_amount: Won | None = None


class CheckoutBody(Body):
    order_id: str
    amount: Won
    order_name: Annotated[str, StringConstraints(min_length=1, max_length=100)] | None = None


B = TypeVar("B", bound=BaseModel)


def parse(model: type[B], body: bytes) -> B:
    """The body as a ``model``; raises Refusal (INVALID_REQUEST) if it is none."""
    try:
        return model.model_validate_json(body)
    except ValidationError as invalid:
        raise Refusal(TossError.INVALID_REQUEST) from invalid


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body; raises Refusal (INVALID_REQUEST) if it is longer than ``limit`` bytes."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise Refusal(TossError.INVALID_REQUEST)
    return bytes(body)


def check_merchant(authorization: str | None, secret_key: str) -> None:
    """HTTP Basic (RFC 7617) with the secret key as user name and no password.

    Raises:
        Refusal: UNAUTHORIZED_KEY without the key, INCORRECT_BASIC_AUTH_FORMAT if the colon behind it is missing.
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        raise Refusal(TossError.UNAUTHORIZED_KEY)
    try:
        credentials = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error as malformed:
        raise Refusal(TossError.INCORRECT_BASIC_AUTH_FORMAT) from malformed
    user, colon, _ = credentials.partition(b":")
    if not colon:
        raise Refusal(TossError.INCORRECT_BASIC_AUTH_FORMAT)
    if not hmac.compare_digest(user, secret_key.encode()):
        raise Refusal(TossError.UNAUTHORIZED_KEY)


def payment_answer(payment: Payment) -> Answer:
    return Answer(200, to_json(toss_payment(payment)))


def error_answer(error: TossError, language: Language) -> Answer:
    """Toss's error object, ``{code, message}``."""
    return Answer(error.status, to_json({"code": error.name, "message": error.message(language)}))


def json_response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type="application/json")


class LostAnswer(Response):
    """Says nothing until the client gives up and closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
