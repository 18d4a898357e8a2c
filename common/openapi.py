"""What a service says about itself: OpenAPI with the contract's error codes, and who may call what."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.params import Depends as DependsParameter
from fastapi.routing import APIRoute

from common.errors import InvalidInput, LoginRequired, NotAuthorized, PlatformError, ServiceUnavailable
from common.identity import Role, require_role, require_service
from common.language import Language
from common.paging import PageRequest, requested_page
from common.wire import Envelope, Nothing, WireModel

# The tag of routes that only other services may call.
INTERNAL = "service-to-service"
# The tag of routes that need no identity.
PUBLIC = "public"

Responses = dict[int | str, dict[str, Any]]


class Problem(WireModel):
    """One field of a request that was not accepted."""

    field: str
    message: str


def documented(*errors: type[PlatformError]) -> Responses:
    """The ``responses`` of a route that may answer ``errors``, beside those that every route may."""
    by_status: defaultdict[int, list[type[PlatformError]]] = defaultdict(list)
    possible: list[type[PlatformError]] = [InvalidInput, LoginRequired, NotAuthorized, *errors, ServiceUnavailable]
    for error in dict.fromkeys(possible):
        by_status[error.status].append(error)
    return {status: _response(several) for status, several in by_status.items()}


def _response(errors: list[type[PlatformError]]) -> dict[str, Any]:
    data = list[Problem] | Nothing if InvalidInput in errors else Nothing
    examples = {error.__name__: {"value": _example(error)} for error in errors}
    return {
        "description": " ".join(f"{error.code}: {error.messages[Language.ENGLISH]}" for error in errors),
        "model": Envelope[data],  # type: ignore[valid-type]
        "content": {"application/json": {"examples": examples}},
    }


def _example(error: type[PlatformError]) -> dict[str, Any]:
    data = [{"field": "page", "message": "Input should be a valid integer"}] if error is InvalidInput else {}
    return {"code": error.code, "message": error.messages[Language.KOREAN], "data": data}


def allow(*roles: Role) -> DependsParameter:
    """A route's dependency that refuses other roles before the body is validated; costs other routes nothing.

    FastAPI parses the body's JSON before it asks any dependency: malformed JSON is 400 for everybody.
    """

    async def refuse_others() -> None:
        require_role(*roles)

    return Depends(refuse_others)  # type: ignore[no-any-return]


def services_only() -> DependsParameter:
    """A route's dependency that refuses everybody but the platform's own services."""

    async def refuse_people() -> None:
        require_service()

    return Depends(refuse_people)  # type: ignore[no-any-return]


class DocumentedApi(FastAPI):
    """FastAPI whose OpenAPI document tells the truth about identity and errors, at no cost to a request.

    A security scheme declared as a dependency would run at every request; here it is written into the document alone.
    """

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            for route in self.routes:
                if isinstance(route, APIRoute):
                    route.operation_id = route.name
            schema = _describe_security(super().openapi())
            for route in self.routes:
                if isinstance(route, APIRoute) and _is_paged(route):
                    for method in route.methods or ():
                        operation = schema["paths"][route.path_format][method.lower()]
                        operation.setdefault("parameters", []).extend(_PAGE_PARAMETERS)
            self.openapi_schema = schema
        return self.openapi_schema


_PAGE_PARAMETERS = [
    {"name": name, "in": "query", "required": False, "schema": schema}
    for name, schema in PageRequest.model_json_schema()["properties"].items()
]


def _is_paged(route: APIRoute) -> bool:
    return any(dependency.call is requested_page for dependency in route.dependant.dependencies)


def _describe_security(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "at the gateway"},
        "service": {
            "type": "apiKey", "in": "header", "name": "X-Identity-Signature",
            "description": "made by another service of the platform; refused at the gateway",
        },
    }  # fmt: skip
    schema["security"] = [{"bearer": []}]
    for operations in schema["paths"].values():
        for operation in operations.values():
            # Invalid input is 400 here, never FastAPI's 422.
            operation["responses"].pop("422", None)
            tags = operation.get("tags", [])
            if PUBLIC in tags:
                operation["security"] = []
            elif INTERNAL in tags:
                operation["security"] = [{"service": []}]
    for unused in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(unused, None)
    return schema
