"""The summary format as a JSON schema: ``python -m harness.store.schema`` writes ``summary.schema.json``.

A test compares the committed file with the models, so that the public format changes on purpose only.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from harness.store.atomic import write_atomic
from harness.store.summary import Summary

PATH = Path(__file__).with_name("summary.schema.json")


def schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of what a run writes."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Summary.model_json_schema(mode="serialization"),
    }


def schema_text() -> str:
    """The schema as it is committed."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    write_atomic(PATH, schema_text())
