"""What a stage says of itself: asked in a process of its own, since package names repeat in every stage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from harness.errors import HarnessError
from harness.stages.manifest import REPOSITORY, Stage


def ask(stage: Stage, module: str) -> Any:
    """What ``python -m module`` prints as JSON with ``stage`` on its path.

    Raises:
        HarnessError: it fails, as the stage's code cannot be loaded.
    """
    asked = subprocess.run(
        [sys.executable, "-m", module],
        env={**os.environ, "PYTHONPATH": f"{stage.folder}{os.pathsep}{REPOSITORY}"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode:
        last = asked.stderr.strip().splitlines()[-1]
        raise HarnessError(f"{stage.id} cannot be described: {last}", f"Try python -m {module} with it on the path.")
    return json.loads(asked.stdout)
