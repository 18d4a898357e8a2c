"""The exported documents as schemathesis reads them: with ids that exist among the generated ones."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.schemas import OpenApiSchema

from harness.documents.api import API, operations
from harness.documents.api_readme import refusals
from tests.contract.making import PASSWORD
from tests.contract.ordering import PRICE
from tests.schemas.theatre import EMAIL, ORDER_ID, PAYMENT_KEY

# Random cases for each call, beside those that schemathesis derives from the schema one by one.
EXAMPLES = int(os.environ.get("FORTICKETS_SCHEMA_EXAMPLES", "10"))

# The same cases in every run; what they find is told as it is, and is not tried again in another form.
deterministic = settings(
    max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)

DOCUMENTS: Mapping[str, dict[str, Any]] = {
    name: json.loads((API / f"{name}.json").read_text(encoding="utf-8"))
    for name in ("user", "concert", "order", "gateway")
}

_VALUES: dict[str, list[int | str]] = {
    "users": [1, 2, 3],
    "concerts": [1, 2],
    "venues": [4, 5],
    "schedules": [7, 8],
    "evenings": ["2031-03-05"],
    "bookings": [21, 22, 23, 24, 25, 26],
    "payments": [17, 18, 19],
    "prices": [PRICE],
    "amounts": [2 * PRICE],
    "seats": ["1 1", "1 2", "3 7", "20 30", "20 31", "0 0"],
    "keys": [PAYMENT_KEY],
    "orders": [ORDER_ID],
    "sorts": ["id,desc", "price", "userId,asc", "status,desc", "createdAt,desc"],
    "sizes": [1, 2, 20],
    "words": ["fan", "Concert"],
    "emails": [EMAIL],
    "passwords": [PASSWORD],
}

_PLACES = {
    "users": ["path.userId", "path.sellerId", "body.userId"],
    "concerts": ["path.concertId", "body.concertId"],
    "venues": ["path.stageId", "body.stageId"],
    "schedules": ["path.scheduleId", "body.scheduleId"],
    "evenings": ["body.concertDate"],
    "bookings": ["path.bookingId", "body.bookingIds[*]"],
    "payments": ["path.paymentId"],
    "prices": ["body.price"],
    "amounts": ["body.amount"],
    "seats": ["body.seat[*]"],
    "keys": ["body.paymentId"],
    "orders": ["body.orderId"],
    "sorts": ["query.sort"],
    "sizes": ["query.size"],
    "emails": ["body.email"],
    "passwords": ["body.password"],
    "words": ["query.nickname", "query.concert-name", "path.nickname", "path.name"],
}


def calls(name: str) -> Iterator[Any]:
    """A parameter for each call of a document."""
    for method, path, _ in operations(DOCUMENTS[name]):
        yield pytest.param(f"{method} {path}", id=f"{method} {path}")


def schema_of(name: str, call: str, *, every_bound: bool = True) -> OpenApiSchema:
    """One call of an exported document, ready to be tried.

    Schemathesis would make all cases of all calls while the tests are collected, which each of the workers does: with
    one call at a time, from a fixture, they are made once, by the worker that tries them.

    Args:
        every_bound: also each bound of the schema in turn, on either side: some fifty cases a call.
    """
    config = schemathesis.Config.from_dict(
        {
            "operations": [{"exclude-name": call, "enabled": False}],
            "dictionaries": {values: {"values": known} for values, known in _VALUES.items()},
            "parameters": {
                place: {"dictionary": values, "probability": 0.7}
                for values, places in _PLACES.items()
                for place in places
            },
            # Identity is the tests' business.
            "generation": {"with-security-parameters": False},
            "phases": {"coverage": {"enabled": every_bound}},
            "checks": {"negative_data_rejection": {"expected-statuses": ["4xx"]}},
        }
    )
    schema = schemathesis.openapi.from_dict(DOCUMENTS[name], config=config)
    assert isinstance(schema, OpenApiSchema)
    return schema


def stated(name: str, method: str, path: str) -> set[tuple[int, int]]:
    """HTTP status and code of every refusal that a document states for a call."""
    return refusals(DOCUMENTS[name]["paths"][path][method.lower()], DOCUMENTS[name])
