"""A small checkout in a temporary folder, for the tests of the stages tool; and that an honest one passes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from harness.__main__ import main
from harness.stages.check import check

STAGES = ("01_baseline", "02_cache", "03_async_cancel")
APP = "".join(f"line_{number} = {number}\n" for number in range(1, 31))


class Checkout:
    """Stages with one file each in the four packages, all identical but for ``stage.toml`` and ``README.md``."""

    def __init__(self, root: Path, stages: Iterable[str] = STAGES) -> None:
        self.root = root
        previous = ""
        for stage in stages:
            self.manifest(stage, previous)
            self.write(stage, "README.md", f"# {stage}\n")
            for package in ("gateway", "user", "concert", "order"):
                self.write(stage, f"{package}/app.py", APP)
            previous = stage

    def file(self, stage: str, path: str) -> Path:
        return self.root / "stages" / stage / path

    def write(self, stage: str, path: str, text: str) -> None:
        self.file(stage, path).parent.mkdir(parents=True, exist_ok=True)
        self.file(stage, path).write_text(text)

    def read(self, stage: str, path: str) -> str:
        return self.file(stage, path).read_text()

    def manifest(
        self,
        stage: str,
        previous: str,
        *,
        added: list[str] | None = None,
        modified: list[str] | None = None,
        removed: list[str] | None = None,
        extra: str = "",
    ) -> None:
        changes = f"[changes]\nadded = {added or []}\nmodified = {modified or []}\nremoved = {removed or []}\n"
        services = "".join(f"[services.{name}]\n" for name in ("gateway", "user", "concert", "order"))
        head = (
            f'id = "{stage}"\nprevious = "{previous}"\ntitle = "T"\nimprovement = "I"\ninfrastructure = ["postgres"]\n'
        )
        self.write(stage, "stage.toml", head + services + (changes if previous else "") + extra)

    def snapshot(self) -> Mapping[str, bytes]:
        """Every file of the stages with its content, to see that nothing else was touched."""
        files = (file for file in (self.root / "stages").rglob("*") if file.is_file())
        return {file.relative_to(self.root).as_posix(): file.read_bytes() for file in files}

    def git(self, *arguments: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=self.root, check=True, capture_output=True, text=True).stdout

    def commit(self) -> None:
        self.git("init", "--quiet")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "state")

    def run(self, *arguments: str) -> int:
        """The command line in this process: ``python -m harness stages --root ... <arguments>``."""
        return main(["stages", "--root", str(self.root), *arguments])


def test_an_honest_checkout_passes_and_shows_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkout = Checkout(tmp_path)
    checkout.manifest("02_cache", "01_baseline", added=["concert/cache.py"], modified=["concert/app.py"])
    for stage in ("02_cache", "03_async_cancel"):
        checkout.write(stage, "concert/app.py", APP.replace("line_7 = 7", "line_7 = 8"))
        checkout.write(stage, "concert/cache.py", "cache = 1\n")
    assert checkout.run("check") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["stage", "same", "modified", "added", "removed", "changed", "lines", "budget"]
    assert lines[1][:3] == ["01_baseline", "6", "files"]
    # stage.toml, README.md and concert/app.py are modified; two changed lines and one new one are counted.
    assert lines[2] == ["02_cache", "3", "3", "1", "0", "3", "500"]
    assert lines[3] == ["03_async_cancel", "5", "2", "0", "0", "0", "700"]


def test_a_single_stage_passes(tmp_path: Path) -> None:
    outcome = check(Checkout(tmp_path, ["01_baseline"]).root)
    assert outcome.findings == ()
    assert [row.stage for row in outcome.rows] == ["01_baseline"]
