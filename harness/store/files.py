"""Reading and writing ``summary.json``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from harness.errors import HarnessError
from harness.store.atomic import write_atomic
from harness.store.summary import VERSION, Summary

_HINT = "Name the folder of a run, as in reports/latest, or run run_all.py to make one."


def save_summary(summary: Summary, path: Path) -> None:
    """Write ``summary`` to ``path`` in one step. Raises HarnessError if that cannot be done."""
    write_atomic(path, summary.model_dump_json(indent=2) + "\n")


def load_summary(path: Path) -> Summary:
    """Read a summary of version 1.

    Raises HarnessError, in one sentence, if the file is missing, is not JSON, has another version or breaks the format.
    """
    data = read_json(path, _HINT)
    if not isinstance(data, dict) or "version" not in data:
        raise HarnessError(f"{path} is not a run's summary: it has no version.", _HINT)
    if data["version"] != VERSION or isinstance(data["version"], bool):
        raise HarnessError(
            f"{path} has version {json.dumps(data['version'])}, and this harness reads version {VERSION} only.",
            "Read it with the harness that wrote it.",
        )
    try:
        return Summary.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise HarnessError(f"{path} does not follow the summary format: {first_fault(error)}.", _HINT) from error


def read_json(path: Path, hint: str) -> Any:
    """The parsed content of a JSON file. Raises HarnessError if it is missing, unreadable or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HarnessError(f"Cannot read {path}: {error.strerror or error}.", hint) from error
    except ValueError as error:
        raise HarnessError(f"{path} is not valid JSON: {error}.", hint) from error


def first_fault(error: ValidationError) -> str:
    """Place and reason of the first fault, e.g. ``measurements.3.median: Input should be a valid number``."""
    fault = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in fault["loc"]) or "top level"
    return f"{place}: {fault['msg']}"
