"""What each service says about itself: no call without documented errors, and none open that should not be."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from fastapi import FastAPI

from common.boundary import RequestBoundary
from common.openapi import INTERNAL
from harness.launch import Secrets

SECRET = "a secret of more than thirty-two characters"
ENVIRONMENT = {
    "REPLAY_PUBLIC_KEY": Secrets().replay_public_key,  # from stage 05 on
    "IDENTITY_KEY": SECRET,
    "JWT_SECRET": SECRET,
    "PAYMENT_SECRET_KEY": SECRET,
    "USER_SELLER_CODE": "seller",
    "USER_MANAGER_CODE": "manager",
    **{
        f"{service}_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere" for service in ("USER", "CONCERT", "ORDER")
    },
}


@pytest.fixture(params=["user", "concert", "order"])
def document(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    settings = import_module(f"{request.param}.settings").load_settings()
    boundary = import_module(f"{request.param}.app").create_app(settings)
    assert isinstance(boundary, RequestBoundary)
    api: Any = boundary._app
    while not isinstance(api, FastAPI):  # what stands in front of it
        api = api._api
    return api.openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, call) for path, calls in document["paths"].items() for call in calls.values()]


def test_operation_ids_are_names_and_unique(document: dict[str, Any]) -> None:
    ids = [call["operationId"] for _, call in operations(document)]
    assert len(ids) == len(set(ids))
    assert all(name.isidentifier() for name in ids)


def test_every_call_states_the_errors_that_any_call_may_give(document: dict[str, Any]) -> None:
    for path, call in operations(document):
        has_input = "requestBody" in call or bool(call.get("parameters"))
        assert {"200", "503"} <= call["responses"].keys(), path
        assert ("400" in call["responses"]) == has_input, path
        assert ("413" in call["responses"]) == ("requestBody" in call), path
        assert "422" not in call["responses"], path


def test_who_is_turned_away_is_stated(document: dict[str, Any]) -> None:
    for path, call in operations(document):
        security = call.get("security", document["security"])
        refusals = {name for response in call["responses"].values() for name in example_names(response)}
        assert ("LoginRequired" in refusals) == bool(security), path
        if any(roles for alternative in security for roles in alternative.values()) or {"service": []} in security:
            assert "NotAuthorized" in refusals, path


def example_names(response: dict[str, Any]) -> set[str]:
    return set(response["content"]["application/json"].get("examples", ()))


def test_only_signing_up_and_logging_in_are_open(document: dict[str, Any]) -> None:
    assert document["security"] == [{"bearer": []}]
    open_paths = {path for path, call in operations(document) if call.get("security") == []}
    assert open_paths == ({"/auth/sign-up", "/auth/login"} if document["info"]["title"] == "user-service" else set())


def test_calls_between_services_are_marked(document: dict[str, Any]) -> None:
    for path, call in operations(document):
        assert (INTERNAL in call.get("tags", [])) == (call.get("security") == [{"service": []}]), path


def test_pages_state_their_parameters(document: dict[str, Any]) -> None:
    paged = [call for path, call in operations(document) if "Page_" in str(call["responses"]["200"])]
    assert len(paged) == {"user-service": 0, "concert-service": 1}.get(document["info"]["title"], len(paged))
    for call in paged:
        parameters = {parameter["name"]: parameter["schema"] for parameter in call["parameters"]}
        assert {"page", "size", "sort"} <= parameters.keys()
        assert (parameters["size"]["default"], parameters["size"]["maximum"]) == (20, 100)


def test_request_bodies_come_with_an_example(document: dict[str, Any]) -> None:
    for name, schema in document["components"]["schemas"].items():
        if name.endswith(("Request", "Patch")):
            assert schema["example"].keys() <= schema["properties"].keys(), name
