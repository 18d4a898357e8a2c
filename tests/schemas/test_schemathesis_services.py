"""Every call of every service, straight at it, by everybody: no 5xx, and nothing that its document does not state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.generation.meta import TestPhase
from schemathesis.specs.openapi.schemas import OpenApiSchema

from common.identity import Caller, IdentitySigner, Role, Service
from common.openapi import INTERNAL
from tests.schemas.calling import Case, anonymous, call, session, signed
from tests.schemas.documents import calls, deterministic, schema_of
from tests.schemas.theatre import Theatre

user, concert, order = (schemathesis.pytest.from_fixture(f"{name}_call") for name in ("user", "concert", "order"))


@pytest.fixture(params=calls("user"))
def user_call(theatre: Theatre, request: pytest.FixtureRequest) -> OpenApiSchema:
    return schema_of("user", request.param)


@pytest.fixture(params=calls("concert"))
def concert_call(theatre: Theatre, request: pytest.FixtureRequest) -> OpenApiSchema:
    return schema_of("concert", request.param)


@pytest.fixture(params=calls("order"))
def order_call(theatre: Theatre, request: pytest.FixtureRequest) -> OpenApiSchema:
    return schema_of("order", request.param)


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
