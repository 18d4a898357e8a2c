"""Turns pydantic's errors into sentences that name the key, what is expected and what was found."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

# What a key "must" be, by pydantic's error type; other types use pydantic's own words.
_EXPECTED = {
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "tuple_type": "must be an array",
    "frozen_set_type": "must be an array",
    "model_type": "must be a table",
    "mapping_type": "must be a table",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "string_pattern_mismatch": "must match {pattern}",
    "string_too_short": "must not be empty",
}


def describe(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One sentence (without a full stop) for each problem in ``error``, which came from validating ``model``."""
    # A misspelt key is also a missing one; the misspelling explains it, so it comes first.
    details = sorted(error.errors(include_url=False), key=lambda detail: detail["type"] != "extra_forbidden")
    return [_sentence(detail, model) for detail in details]


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    location = [part for part in detail["loc"] if part != "[key]"]
    key, kind, found = _dotted(location), detail["type"], detail["input"]
    if kind == "missing":
        return f'key "{key}" is missing'
    if kind == "extra_forbidden":
        near = get_close_matches(str(location[-1]), _known_keys(model), n=1)
        return f'unknown key "{key}"' + (f', did you mean "{near[0]}"' if near else "")
    if kind == "value_error":
        problem = str(detail["ctx"]["error"])
        return f"{key} {problem}" if key else problem
    context = {name: str(value).replace("'", "").replace(" or ", ", ") for name, value in detail.get("ctx", {}).items()}
    expected = _EXPECTED.get(kind, detail["msg"]).format(**context)
    shown = f'"{found}"' if isinstance(found, str) else str(found)
    return f"{key} {expected}; found {shown}"


def _dotted(location: Sequence[int | str]) -> str:
    """``("hypothesis", 0, "metric")`` as ``hypothesis[1].metric``: entries are counted from 1, as a reader does."""
    text = ""
    for part in location:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _known_keys(model: type[BaseModel]) -> list[str]:
    """Every key of ``model`` and of the models in its fields, for suggesting the one that was meant."""
    keys: list[str] = []
    definitions = model.model_json_schema(by_alias=True)
    for schema in (definitions, *definitions.get("$defs", {}).values()):
        keys += schema.get("properties", {})
    return [key for key in keys if key != "folder"]
