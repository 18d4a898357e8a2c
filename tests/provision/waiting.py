"""A child script to be interrupted or killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.polling import until as until

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("run_until_stopped.py")


class Child:
    """The script in a process of its own; it inherits the test's folder for run records."""

    def __init__(self, tmp_path: Path, *what: str) -> None:
        self.output = tmp_path / "output.txt"
        self._said = tmp_path / "said.json"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, SCRIPT, self._said, *what], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
            )

    def said(self) -> dict[str, Any]:
        """What it says once all is up."""
        assert until(lambda: self._said.exists() or self.process.poll() is not None, 30), "the script is too slow"
        assert self._said.exists(), self.output.read_text()
        answer: dict[str, Any] = json.loads(self._said.read_text())
        return answer

    def end(self) -> None:
        """For the test's own clean-up: gone, whatever became of the test."""
        self.process.kill()
        self.process.wait()
