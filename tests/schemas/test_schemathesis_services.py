"""Every call of every service, straight at it, by everybody: no 5xx, and nothing that its document does not state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.schemas import OpenApiSchema

from common.identity import Caller, IdentitySigner, Role, Service
from common.openapi import INTERNAL
from harness.documents.api import operations
from tests.schemas.calling import Case, anonymous, call, session, signed
from tests.schemas.documents import calls, deterministic, schema_of
from tests.schemas.theatre import Theatre

SchemaOfCall = Callable[[str, str], OpenApiSchema]
Served = Mapping[str, dict[str, Any]]

user, concert, order = (schemathesis.pytest.from_fixture(f"{name}_call") for name in ("user", "concert", "order"))


@pytest.fixture
def schema_of_call(theatre: Theatre, served: Served) -> SchemaOfCall:
    """Of a service and one of its calls; skips the test of one that an earlier stage has not got yet."""

    def schema_of_one(name: str, call: str) -> OpenApiSchema:
        if call not in {f"{method} {path}" for method, path, _ in operations(served[name])}:
            pytest.skip(f"{theatre.platform.stage.id} has no {call}")
        return schema_of(name, call)

    return schema_of_one


@pytest.fixture(params=calls("user"))
def user_call(schema_of_call: SchemaOfCall, request: pytest.FixtureRequest) -> OpenApiSchema:
    return schema_of_call("user", request.param)


@pytest.fixture(params=calls("concert"))
def concert_call(schema_of_call: SchemaOfCall, request: pytest.FixtureRequest) -> OpenApiSchema:
    return schema_of_call("concert", request.param)


@pytest.fixture(params=calls("order"))
def order_call(schema_of_call: SchemaOfCall, request: pytest.FixtureRequest) -> OpenApiSchema:
    return schema_of_call("order", request.param)


@pytest.fixture(scope="module")
def connections() -> Iterator[Any]:
    with session() as made:
        yield made


def by_everybody(case: Case, service: str, theatre: Theatre, connections: Any) -> None:
    """Sends a case as nobody, user, seller and manager, and as a service where services may ask.

    The bounds of the schema, which are most of the cases, are tried by a user and a manager alone: nobody's input is
    looked at before they are.
    """
    signer = IdentitySigner(theatre.platform.secrets.identity)
    between_services = INTERNAL in case.operation.tags
    a_bound = case.meta is not None and case.meta.phase.name is TestPhase.COVERAGE
    roles = [Role.USER, Role.MANAGER] if a_bound else list(Role)
    callers: list[Caller] = [theatre.people[role] for role in roles]
    if between_services:
        callers = [Service("order-service"), *callers[: 1 if a_bound else None]]
    for caller in callers:
        call(case, service, theatre.platform.service_urls[service], connections, signed(signer, caller))
    if not a_bound:
        call(case, service, theatre.platform.service_urls[service], connections, anonymous)


@deterministic
@user.parametrize()
def test_user_service(case: Case, theatre: Theatre, connections: Any) -> None:
    by_everybody(case, "user", theatre, connections)


@deterministic
@concert.parametrize()
def test_concert_service(case: Case, theatre: Theatre, connections: Any) -> None:
    by_everybody(case, "concert", theatre, connections)


@deterministic
@order.parametrize()
def test_order_service(case: Case, theatre: Theatre, connections: Any) -> None:
    by_everybody(case, "order", theatre, connections)
