"""stages diff, as text and as data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.stages.diff import stage_diff
from harness.stages.manifest import load_stage
from tests.harness.test_stages_checkout import APP, STAGES, Checkout


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    checkout = Checkout(tmp_path, STAGES[:2])
    checkout.write("01_baseline", "concert/old.py", "gone = 1\n")
    checkout.write("02_cache", "concert/cache.py", "first = 1\nsecond = [2]\n")
    checkout.write("02_cache", "concert/app.py", APP.replace("line_7 = 7", "line_7 = 8"))
    return checkout


def test_the_difference_as_data(checkout: Checkout) -> None:
    one, two = (load_stage(checkout.file(stage, "")) for stage in STAGES[:2])
    diff = stage_diff(one, two)
    assert (diff.previous, diff.stage) == ("01_baseline", "02_cache")
    rows = [(file.path, file.status, file.additions, file.deletions, file.counted) for file in diff.files]
    assert rows[1:] == [
        ("README.md", "modified", 1, 1, False),
        ("concert/app.py", "modified", 1, 1, True),
        ("concert/cache.py", "added", 2, 0, True),
        ("concert/old.py", "removed", 0, 1, True),
    ]
    assert (rows[0][0], rows[0][4]) == ("stage.toml", False)
    assert diff.counted_lines == 5
    assert diff.files[3].text == (
        "--- /dev/null\n+++ 02_cache/concert/cache.py\n@@ -0,0 +1,2 @@\n+first = 1\n+second = [2]\n"
    )


def test_the_difference_can_be_applied(checkout: Checkout) -> None:
    checkout.write("02_cache", "order/app.py", APP + "no newline at the end")
    one, two = (load_stage(checkout.file(stage, "")) for stage in STAGES[:2])
    (checkout.root / "lesson.patch").write_text("".join(file.text for file in stage_diff(one, two).files))
    checkout.git("init", "--quiet")
    checkout.git("apply", "-p1", "--directory", "stages/01_baseline", "lesson.patch")
    assert stage_diff(one, two).files == ()


def test_the_printed_difference(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkout.run("diff", "01", "02") == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0].startswith("01_baseline -> 02_cache: 5 files, +")
    assert lines[0].endswith("(3 modified, 1 added, 1 removed)")
    assert [line.split()[:2] for line in lines[1:6]] == [
        ["modified", "stage.toml"],
        ["modified", "README.md"],
        ["modified", "concert/app.py"],
        ["added", "concert/cache.py"],
        ["removed", "concert/old.py"],
    ]
    assert "-line_7 = 7\n+line_7 = 8\n" in out
    assert "order/app.py" not in out
    assert "\x1b[" not in out


def test_stat_leaves_the_text_out(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    assert checkout.run("diff", "1", "2", "--stat") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert lines[4].split() == ["added", "concert/cache.py", "+2", "-0"]


@pytest.mark.parametrize("path", ["concert", "concert/", "concert/cache.py"])
def test_only_a_path(checkout: Checkout, capsys: pytest.CaptureFixture[str], path: str) -> None:
    assert checkout.run("diff", "1", "2", "--stat", "--path", path) == 0
    named = [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]]
    everything = ["concert/app.py", "concert/cache.py", "concert/old.py"]
    assert named == (["concert/cache.py"] if path.endswith(".py") else everything)


def test_a_path_without_difference_and_one_that_is_nowhere(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checkout.run("diff", "1", "2", "--path", "order") == 0
    assert capsys.readouterr().out.startswith("01_baseline -> 02_cache: 0 files, +0 -0")
    assert checkout.run("diff", "1", "2", "--path", "orders") == 2
    assert capsys.readouterr().err.startswith('error: Neither 01_baseline nor 02_cache has "orders".')


def test_a_binary_file_is_named(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    checkout.file("02_cache", "gateway/logo.png").write_bytes(b"\x89PNG\xff")
    assert checkout.run("diff", "1", "2", "--path", "gateway") == 0
    assert "Binary file gateway/logo.png is added." in capsys.readouterr().out


def test_colour_where_a_person_looks(
    checkout: Checkout, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert checkout.run("diff", "1", "2", "--path", "concert/cache.py") == 0
    out = capsys.readouterr().out
    assert "\x1b[32m+second = [2]\x1b[0m" in out
