"""Every call of the platform through its gateway, by everybody: no 5xx, and nothing that is not stated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from schemathesis.specs.openapi.schemas import OpenApiSchema

from common.tokens import issue_token
from tests.schemas.calling import Case, anonymous, bearing, call, session
from tests.schemas.documents import calls, deterministic, schema_of
from tests.schemas.theatre import Theatre

gateway = schemathesis.pytest.from_fixture("gateway_call")


@pytest.fixture(params=calls("gateway"))
def gateway_call(theatre: Theatre, request: pytest.FixtureRequest) -> OpenApiSchema:
    """The bounds are tried at the services; here it is whether the gateway adds anything to what they answer."""
    return schema_of("gateway", request.param, every_bound=False)


@pytest.fixture(scope="module")
def connections() -> Iterator[Any]:
    with session() as made:
        yield made


@deterministic
@gateway.parametrize()
def test_gateway(case: Case, theatre: Theatre, connections: Any) -> None:
    secret = theatre.platform.secrets.jwt
    tokens = [issue_token(person, secret) for person in theatre.people.values()]
    for credential in (anonymous, *map(bearing, tokens)):
        call(case, "gateway", theatre.platform.gateway_url, connections, credential)
