"""What a service says about itself: OpenAPI with the contract's error codes and examples, and who may call what."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.params import Depends as DependsParameter
from fastapi.routing import APIRoute

from common.context import REQUEST_ID
from common.errors import InvalidInput, LoginRequired, NotAuthorized, PayloadTooLarge, PlatformError, ServiceUnavailable
from common.identity import Role, require_role, require_service
from common.language import Language
from common.openapi_examples import Document, add_examples, put_right
from common.paging import PageRequest, requested_page
from common.wire import SUCCESS_MESSAGES, Envelope, Nothing, WireModel

# The tag of routes that only other services may call.
INTERNAL = "service-to-service"
# The tag of routes that need no identity.
PUBLIC = "public"

Errors = tuple[type[PlatformError], ...]

# Whom a route turns away before it looks at what they ask for.
NOBODY: Errors = ()
STRANGERS: Errors = (LoginRequired,)
OTHERS: Errors = (LoginRequired, NotAuthorized)

Responses = dict[int | str, dict[str, Any]]


class Problem(WireModel):
    """One field of a request that was not accepted."""

    field: str
    message: str


def documented(*errors: type[PlatformError], refuses: Errors = OTHERS) -> Responses:
    """The ``responses`` of a route that may answer ``errors``, beside those that any route may.

    Args:
        refuses: whom it turns away: ``STRANGERS`` where whoever has logged in may ask, ``NOBODY`` where everybody may.
    """
    by_status: defaultdict[int, list[type[PlatformError]]] = defaultdict(list)
    possible: Errors = (InvalidInput, *refuses, *errors, ServiceUnavailable)
    for error in dict.fromkeys(possible):
        by_status[error.status].append(error)
    return {status: _response(several) for status, several in by_status.items()}


def _response(errors: list[type[PlatformError]]) -> dict[str, Any]:
    data = list[Problem] | Nothing if InvalidInput in errors else Nothing
    response = _described(errors) | {"model": Envelope[data]}  # type: ignore[valid-type]
    if ServiceUnavailable in errors:
        response["headers"] = {
            "Retry-After": {
                "description": "seconds until it is worth another try",
                "required": True,
                "schema": {"type": "integer", "minimum": 1},
            }
        }
    return response


def _described(errors: list[type[PlatformError]]) -> dict[str, Any]:
    examples = {error.__name__: {"value": _example(error)} for error in errors}
    return {
        "description": " ".join(f"{error.code}: {error.messages[Language.ENGLISH]}" for error in errors),
        "content": {"application/json": {"examples": examples}},
    }


def _example(error: type[PlatformError]) -> dict[str, Any]:
    data: Any = [{"field": "body", "message": "malformed JSON"}] if issubclass(error, InvalidInput) else {}
    return {"code": error.code, "message": error.messages[Language.KOREAN], "data": data}


class Allowed:
    """A route's dependency that refuses other roles before the body is validated."""

    def __init__(self, roles: tuple[Role, ...]) -> None:
        self.roles = roles

    async def __call__(self) -> None:
        require_role(*self.roles)


def allow(*roles: Role) -> DependsParameter:
    """Lets in who has one of ``roles``; costs other routes nothing.

    FastAPI parses the body's JSON before it asks any dependency: malformed JSON is 400 for everybody.
    """
    return Depends(Allowed(roles))  # type: ignore[no-any-return]


def services_only() -> DependsParameter:
    """A route's dependency that refuses everybody but the platform's own services."""

    async def refuse_people() -> None:
        require_service()

    return Depends(refuse_people)  # type: ignore[no-any-return]


class DocumentedApi(FastAPI):
    """FastAPI whose OpenAPI document tells the truth about identity, errors and answers, at no cost to a request.

    A security scheme declared as a dependency would run at every request; here it is written into the document alone.
    """

    def openapi(self) -> Document:
        if self.openapi_schema is None:
            routes = [route for route in self.routes if isinstance(route, APIRoute) and route.include_in_schema]
            for route in routes:
                route.operation_id = route.name
            document: Document = put_right(super().openapi())
            document["info"]["description"] = _ABOUT
            document["components"] |= {"securitySchemes": _SECURITY_SCHEMES, "headers": {"RequestId": _REQUEST_ID}}
            document["security"] = [{"bearer": []}]
            for unused in ("HTTPValidationError", "ValidationError"):
                document["components"].get("schemas", {}).pop(unused, None)
            for route in routes:
                for method in route.methods or ():
                    _complete(document["paths"][route.path_format][method.lower()], route)
            self.openapi_schema = add_examples(document)
        return self.openapi_schema


_ABOUT = """\
Every answer but those of service-to-service calls is an envelope: `code` is 0 or an error of the contract's table,
`message` is Korean, or English with `Accept-Language: en`, and `data` is what was asked for. Decide by `code`, never by
`message`. HTTP 500 with code 1003 would be a defect, and is stated for no call."""

_SECURITY_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "At the gateway, from `POST /user-service/auth/login`. Names beside it are roles, one of which "
        "is needed.",
    },
    "service": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Identity-Signature",
        "description": "Made by another service of the platform; refused at the gateway.",
    },
}
_REQUEST_ID = {"description": "names the request in the logs", "required": True, "schema": {"type": "string"}}

_PAGE_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "schema": schema}
    for name, schema in PageRequest.model_json_schema()["properties"].items()
]


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    """What FastAPI does not know of a call: pages, who may ask, what every answer has."""
    calls = [dependency.call for dependency in route.dependant.dependencies]
    if requested_page in calls:
        operation.setdefault("parameters", []).extend(_PAGE_PARAMETERS)
    if PUBLIC in operation.get("tags", []):
        operation["security"] = []
    elif INTERNAL in operation.get("tags", []):
        operation["security"] = [{"service": []}]
    for call in calls:
        if isinstance(call, Allowed):
            operation["security"] = [{"bearer": [role.value]} for role in call.roles]
    responses: dict[str, Any] = operation["responses"]
    # Invalid input is 400 here, never FastAPI's 422; and where there is none, none is invalid.
    responses.pop("422", None)
    if "requestBody" in operation:
        responses["413"] = _too_large(responses["400"])
    elif not operation.get("parameters"):
        responses.pop("400", None)
    enveloped = INTERNAL not in operation.get("tags", [])
    responses["200"]["description"] = f"0: {SUCCESS_MESSAGES[Language.ENGLISH]}" if enveloped else "Without envelope."
    for response in responses.values():
        response.setdefault("headers", {})[REQUEST_ID.title()] = {"$ref": "#/components/headers/RequestId"}
    operation["responses"] = dict(sorted(responses.items()))


def _too_large(invalid: dict[str, Any]) -> dict[str, Any]:
    response = _described([PayloadTooLarge])
    response["content"]["application/json"]["schema"] = invalid["content"]["application/json"]["schema"]
    return response
