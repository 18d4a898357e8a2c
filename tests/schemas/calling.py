"""One generated request, sent by one caller, and everything that its answer must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import schemathesis
from requests import Session
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.specs.openapi import checks

from common.identity import Caller, IdentitySigner
from tests.schemas.documents import stated

CHECKS: list[CheckFunction] = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]

# A generated request.
Case = schemathesis.Case[Any]
# From a request that is ready to be sent to the same with a credential.
Credential = Callable[[Any], Any]


def session() -> Any:
    """Pooled connections, straight to the platform."""
    made = Session()
    made.trust_env = False
    return made


def signed(signer: IdentitySigner, caller: Caller) -> Credential:
    """The identity headers by which the gateway or a service vouches for ``caller``."""

    def sign(request: Any) -> Any:
        headers = signer.headers_for(caller, request.method, request.path_url.encode())
        request.headers.update({name.decode(): value.decode() for name, value in headers})
        return request

    return sign


def bearing(token: str) -> Credential:
    """The token that a client sends to the gateway."""

    def bear(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return bear


def anonymous(request: Any) -> Any:
    """No credential at all."""
    return request


# A seller's id that is no number makes it the search by name, of a name with a slash.
_OF_ANOTHER_CALL = {"/concerts/{userId}/{name}/search"}


def call(case: Case, document: str, base_url: str, connections: Any, credential: Credential) -> None:
    """Sends the request and judges the answer: its status and code are stated, and all of it is as the schema says."""
    path = case.operation.path
    unjudged: list[CheckFunction] = [checks.negative_data_rejection] if path in _OF_ANOTHER_CALL else []
    answer = case.call_and_validate(base_url, connections, checks=CHECKS, excluded_checks=unjudged, auth=credential)
    # Schemathesis tries other methods too, which no call of the document is.
    if case.method.upper() == case.operation.method.upper() and answer.status_code >= 400:
        refusal = (answer.status_code, answer.json()["code"])
        assert refusal in stated(document, case.method, path), answer.text
