"""The envelope of every answer, and the base class of what goes over the wire.

Answers are rendered to bytes here, once, by pydantic's serializer: an endpoint returns ``ok(view)``, and FastAPI has
nothing left to validate or encode. That is 85 µs a request cheaper than a ``response_model`` (measured-costs.md).
"""

from __future__ import annotations

import re
from datetime import date, time
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import to_json
from starlette.responses import Response

from common.errors import PlatformError
from common.language import Language, current_language

T = TypeVar("T")

SUCCESS_MESSAGES = {Language.KOREAN: "정상 처리 되었습니다.", Language.ENGLISH: "Processed successfully."}

INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1


_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_ISO_TIME = re.compile(r"\d{2}:\d{2}(:\d{2})?", re.ASCII)
_DECIMAL = re.compile(r"-?\d+", re.ASCII)


def _iso_date(value: object) -> object:
    if isinstance(value, str):
        if not _ISO_DATE.fullmatch(value):
            raise ValueError("must be YYYY-MM-DD")
        return date.fromisoformat(value)
    return value


def _iso_time(value: object) -> object:
    if isinstance(value, str):
        if not _ISO_TIME.fullmatch(value):
            raise ValueError("must be HH:MM:SS")
        return time.fromisoformat(value)
    return value


def _decimal(value: object) -> object:
    if isinstance(value, str) and not _DECIMAL.fullmatch(value):
        raise ValueError("must be a whole number in digits")
    return value


# PostgreSQL's text cannot hold U+0000; everything else that is Unicode may be in a name.
Text = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\x00]*$")]

# A number in a path or a query. pydantic alone would also take "1.0", " 1" and "1_000" for one.
Decimal = Annotated[int, BeforeValidator(_decimal)]

# An http(s) URL, or empty.
HttpUrl = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=2048, pattern=r"^([hH][tT]{2}[pP][sS]?://[^\s/?#\x00]+[^\s\x00]*)?$"
    ),
    Field(description="http(s) URL, or empty"),
]

# An id that no row has is "not found"; one that no bigint can hold is invalid input.
# The bounds stand inside of the validator, or the OpenAPI document would not know them.
Id = Annotated[int, Field(ge=-INT64_MAX - 1, le=INT64_MAX), BeforeValidator(_decimal)]

# A body that is nothing but ids; as in a RequestModel, "7" and true are none.
Ids = list[Annotated[int, Field(strict=True, ge=-INT64_MAX - 1, le=INT64_MAX)]]

# Without these, pydantic would take a number for seconds since the epoch, and a time with a fraction or a zone.
Date = Annotated[date, BeforeValidator(_iso_date)]
# OpenAPI's format "time" is one with a zone (RFC 3339).
Time = Annotated[
    time,
    BeforeValidator(_iso_time),
    WithJsonSchema({"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}),
]

PositiveInt32 = Annotated[int, Field(gt=0, le=INT32_MAX)]


class WireModel(BaseModel):
    """camelCase on the wire, snake_case in Python; immutable; unknown fields of a request are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        from_attributes=True,
        frozen=True,
        # An answer has all of its fields, those with a default too; the OpenAPI document says so.
        json_schema_serialization_defaults_required=True,
    )


class RequestModel(WireModel):
    """A request body: nothing is coerced, so that ``true`` is no price and ``"7"`` no id."""

    model_config = ConfigDict(strict=True, from_attributes=False, populate_by_name=False)


# The default of a patch's fields: never seen, as ``changes`` leaves them out; and no value, so that null is refused.
ABSENT: Any = None


class PatchModel(RequestModel):
    """A partial update: what is absent stays as it is, what is there must have a value."""

    def changes(self) -> dict[str, Any]:
        """The fields that the request names, and their new values."""
        return self.model_dump(exclude_unset=True)


class Nothing(WireModel):
    """``{}``: the data of an answer that has nothing to say."""


class Envelope(WireModel, Generic[T]):
    """The shape of every answer, for the OpenAPI document; the bytes are made by ``ok`` and ``failure``."""

    code: int = Field(examples=[0])
    message: str = Field(examples=[SUCCESS_MESSAGES[Language.KOREAN]])
    data: T


def _prefix(code: int, message: str) -> bytes:
    return b'{"code":%d,"message":%s,"data":' % (code, to_json(message))


_SUCCESS_PREFIXES = {language: _prefix(0, message) for language, message in SUCCESS_MESSAGES.items()}


class JSONBytes(Response):
    """A response whose JSON is already bytes."""

    media_type = "application/json"


def ok(data: Any = None) -> JSONBytes:
    """200 with ``data`` (a wire model, a list of them, or None for ``{}``) in the envelope."""
    return ok_bytes(b"{}" if data is None else to_json(data, by_alias=True))


def ok_bytes(data: bytes) -> JSONBytes:
    """200 with ``data`` that is JSON already."""
    return JSONBytes(_SUCCESS_PREFIXES[current_language()] + data + b"}")


def bare(data: Any) -> JSONBytes:
    """200 without the envelope, as the service-to-service calls answer."""
    return JSONBytes(to_json(data, by_alias=True))


def failure_bytes(error: PlatformError) -> bytes:
    """The envelope of an error, in the current request's language."""
    return _prefix(error.code, error.messages[current_language()]) + to_json(error.data) + b"}"


def failure(error: PlatformError) -> JSONBytes:
    """The response for an error: the contract's status, envelope and, where it has one, ``Retry-After``."""
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return JSONBytes(failure_bytes(error), status_code=error.status, headers=headers)
