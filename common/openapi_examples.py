"""An OpenAPI document's schemas put right, and examples of answers made from those of their parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from common.wire import INT64_MAX

Document = dict[str, Any]

_REFERENCE = "#/components/schemas/"

# What a page of one element says of itself.
_PAGE = {
    "number": 0, "size": 20, "totalElements": 1, "totalPages": 1, "numberOfElements": 1, "first": True, "last": True,
    "empty": False,
}  # fmt: skip


def put_right(document: Document) -> Document:
    """The document with whole numbers as such: FastAPI makes floats of bounds, which are too coarse for a bigint's."""
    return cast("Document", _whole_numbers(document))


def _whole_numbers(node: Any) -> Any:
    if isinstance(node, dict):
        return {name: _whole_numbers(child) for name, child in node.items()}
    if isinstance(node, list):
        return [_whole_numbers(child) for child in node]
    if isinstance(node, float) and node.is_integer():
        return max(-INT64_MAX - 1, min(INT64_MAX, int(node)))
    return node


def add_examples(document: Document) -> Document:
    """Gives every successful answer an example, and has the errors' once each, for all calls that refer to them.

    Raises:
        LookupError: a part of an answer has no example.
    """
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        # pydantic has sorted them by name.
        if "example" in schema:
            schema["example"] = {
                name: schema["example"][name] for name in schema["properties"] if name in schema["example"]
            }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation["responses"]["200"]["content"]["application/json"]
            try:
                content["example"] = example_of(content["schema"], schemas)
            except LookupError as missing:
                raise LookupError(f"{method} {path}: {missing}") from missing
            for response in operation["responses"].values():
                _share(response["content"]["application/json"].get("examples", {}), document["components"])
    return document


def _share(examples: dict[str, Any], components: dict[str, Any]) -> None:
    """Moves examples to where others can refer to them."""
    shared = components.setdefault("examples", {})
    for name, example in examples.items():
        assert shared.setdefault(name, example) == example, f"two examples are called {name}"
        examples[name] = {"$ref": f"#/components/examples/{name}"}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """An example of what ``schema`` describes: its own, else made of its parts'; ``schemas`` by their names."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].removeprefix(_REFERENCE)], schemas)
    if "example" in schema:
        return schema["example"]
    if "examples" in schema:
        return schema["examples"][0]
    if schema.get("type") == "array":
        return [example_of(schema["items"], schemas)]
    if schema.get("type") == "object":
        if _PAGE.keys() < schema["properties"].keys():
            return {"content": example_of(schema["properties"]["content"], schemas), **_PAGE}
        return {name: example_of(part, schemas) for name, part in schema["properties"].items()}
    raise LookupError(f"no example of {schema.get('title', 'a value')}")
