"""The exported documents: what the services serve, and examples that are what their schemas say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs
import pytest

from common.openapi import INTERNAL
from harness.documents.api import operations
from harness.launch.environment import DATABASES
from harness.stages.manifest import Stage
from tests.conftest import STAGES
from tests.schemas.documents import DOCUMENTS


def examples(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Where it stands, the schema, and the example, of every body that the document shows."""
    for name, schema in document["components"]["schemas"].items():
        if "example" in schema:
            yield name, schema, schema["example"]
    for method, path, operation in operations(document):
        for status, response in operation["responses"].items():
            content = response["content"]["application/json"]
            shown = [document["components"]["examples"][name]["value"] for name in content.get("examples", ())]
            assert ("example" in content) == (status == "200"), (method, path, status)
            assert shown or status == "200", (method, path, status)
            for example in [*shown, *([content["example"]] if status == "200" else [])]:
                yield f"{method} {path} {status}", content["schema"], example


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_example_is_what_its_schema_says(name: str) -> None:
    document = DOCUMENTS[name]
    found = list(examples(document))
    assert len(found) > 20
    for where, schema, example in found:
        validator = jsonschema_rs.validator_for({**schema, "components": document["components"]})
        assert validator.is_valid(example), (where, example)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_body_that_is_asked_for_comes_with_an_example(name: str) -> None:
    document = DOCUMENTS[name]
    for method, path, operation in operations(document):
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            model = document["components"]["schemas"].get(schema.get("$ref", "").rpartition("/")[2], schema)
            assert model.get("example") or model.get("examples"), (method, path)


def test_clients_see_every_call_but_those_between_services() -> None:
    behind = {
        (method, f"/{document['info']['title']}{path}")
        for name, document in DOCUMENTS.items()
        if name != "gateway"
        for method, path, operation in operations(document)
        if INTERNAL not in operation["tags"]
    }
    assert {(method, path) for method, path, _ in operations(DOCUMENTS["gateway"])} == behind


@pytest.mark.parametrize("package", DATABASES)
def test_the_service_serves_what_is_exported(package: str, stage: Stage, served: Mapping[str, dict[str, Any]]) -> None:
    """The last stage's document is exported; an earlier one may lack calls, and has no others."""
    exported = DOCUMENTS[package]
    if stage == STAGES[-1]:
        assert served[package] == exported
    calls = {(method, path) for method, path, _ in operations(served[package])}
    assert calls <= {(method, path) for method, path, _ in operations(exported)}
