"""``docs/api/``: the OpenAPI document of each service, and of all of them as a client of the gateway sees them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from common.openapi import INTERNAL
from harness.documents.api_readme import readme
from harness.documents.description import Description, Document
from harness.errors import HarnessError
from harness.stages.manifest import REPOSITORY

API = REPOSITORY / "docs" / "api"

_ABOUT = """\
The whole platform, as its clients find it: every call but those between services.

{}
Get a token from `login` (the answer's `Authorization` header) and send it along as `Authorization: Bearer …`."""


def api_files(described: Mapping[str, Description]) -> dict[str, str]:
    """Name to text of every file of ``docs/api/``: the documents of the last stage, and the page about them.

    Raises:
        HarnessError: the services of a stage contradict each other.
    """
    *_, last = (description.api for description in described.values())
    documents = {**last, "gateway": gateway_document(last)}
    files = {
        f"{name}.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }
    return {**files, "README.md": readme({stage: description.api for stage, description in described.items()})}


def operations(document: Document) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Method, path and description of every call."""
    for path, calls in document["paths"].items():
        for method, operation in calls.items():
            yield method.upper(), path, operation


def gateway_document(documents: Mapping[str, Document]) -> Document:
    """One document of what all services offer behind the gateway, each path behind its service's name.

    Raises:
        HarnessError: two services use one name for different things.
    """
    first = next(iter(documents.values()))
    paths: dict[str, dict[str, Any]] = {}
    components: dict[str, dict[str, Any]] = {}
    for document in documents.values():
        for kind, parts in document["components"].items():
            for name, part in parts.items():
                if components.setdefault(kind, {}).setdefault(name, part) != part:
                    raise HarnessError(f"Two services mean different things by {name!r}.", "Give one another name.")
        for method, path, operation in operations(document):
            if INTERNAL not in operation["tags"]:
                paths.setdefault(f"/{document['info']['title']}{path}", {})[method.lower()] = operation
    del components["securitySchemes"]["service"]
    whole = {
        "openapi": first["openapi"],
        "info": {**first["info"], "title": "gateway", "description": _ABOUT.format(first["info"]["description"])},
        "servers": [{"url": "http://127.0.0.1:12011", "description": "a stage that was started with `run_all.py up`"}],
        "paths": paths,
        "components": {**components, "schemas": _used(components["schemas"], paths)},
        "security": first["security"],
    }
    ids = [operation["operationId"] for _, _, operation in operations(whole)]
    twice = {name for name in ids if ids.count(name) > 1}
    if twice:
        raise HarnessError(f"Two services have a call of one name: {', '.join(sorted(twice))}.", "Rename one of them.")
    return whole


def _used(schemas: Mapping[str, Any], paths: Any) -> dict[str, Any]:
    """Those of the schemas that ``paths`` refer to, over others too."""
    found: set[str] = set()
    new = set(_references(paths))
    while new:
        found |= new
        new = {name for known in new for name in _references(schemas[known])} - found
    return {name: schemas[name] for name in sorted(found)}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        reference = node.get("$ref", "")
        if reference.startswith("#/components/schemas/"):
            yield reference.rpartition("/")[2]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)
