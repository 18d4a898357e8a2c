"""What the stages say of themselves: each asked in a process of its own, since package names repeat in every stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from harness.errors import HarnessError
from harness.stages.manifest import REPOSITORY, Stage

_MODULE = "harness.documents.describe_stage"

Document = Mapping[str, Any]
"""OpenAPI, as a service serves it at ``/openapi.json``."""


class Description(NamedTuple):
    """One stage, in its own words."""

    api: Mapping[str, Document]
    """Package to the document of its service."""
    tables: Mapping[str, list[dict[str, Any]]]
    """Database to its tables, as ``describe_tables`` says them."""


def describe(stage: Stage, environment: Mapping[str, str] = os.environ) -> Description:
    """What ``describe_stage`` prints with ``stage`` on its path.

    Raises:
        HarnessError: it fails, as the stage's code cannot be loaded.
    """
    asked = subprocess.run(
        [sys.executable, "-m", _MODULE],
        env={**environment, "PYTHONPATH": f"{stage.folder}{os.pathsep}{REPOSITORY}"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        last = asked.stderr.strip().splitlines()[-1]
        raise HarnessError(f"{stage.id} cannot be described: {last}", f"Try python -m {_MODULE} with it on the path.")
    return Description(**json.loads(asked.stdout))


def describe_all(stages: Sequence[Stage]) -> dict[str, Description]:
    """Stage id to what ``describe`` says of it, several at once; raises what that does."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return dict(zip((stage.id for stage in stages), threads.map(describe, stages), strict=True))
