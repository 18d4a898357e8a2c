"""python -m harness: exit codes, help, and light imports, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.__main__ import VERBS, main
from harness.stages.manifest import REPOSITORY
from tests.harness.test_stages_checkout import STAGES, Checkout


def _python(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=30)


def _harness(*arguments: str) -> subprocess.CompletedProcess[str]:
    return _python("-m", "harness", *arguments)


def test_exit_codes_of_a_real_process(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, STAGES[:2])
    root = ("stages", "--root", str(tmp_path))
    good = _harness(*root, "check")
    assert (good.returncode, good.stderr) == (0, "")
    checkout.write("02_cache", "concert/app.py", "x = 1\n")
    bad = _harness(*root, "check")
    assert (bad.returncode, bad.stderr) == (1, "")
    assert bad.stdout.startswith("02_cache concert/app.py: differs from 01_baseline")
    unknown = _harness(*root, "diff", "01", "cahce")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.splitlines() == [
        'error: There is no stage "cahce".',
        'hint: Did you mean "02_cache"? Stages: 01_baseline, 02_cache.',
    ]


def test_an_unknown_verb_offers_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage"]) == 2
    err = capsys.readouterr().err
    assert err.startswith('error: There is no verb "stage".\nhint: Did you mean "stages"?')


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
def test_help_names_every_verb_with_examples(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in VERBS)
    assert "python -m harness stages check" in out


def test_no_verb_shows_the_help_as_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage: python -m harness <verb>")


def test_help_of_stages_teaches_by_example() -> None:
    shown = _harness("stages", "--help")
    assert shown.returncode == 0
    for example in ("stages sync 01 concert/app.py", "stages diff 01 02 --stat", "--base HEAD~1"):
        assert example in shown.stdout


def test_a_wrong_verb_of_stages_is_refused() -> None:
    wrong = _harness("stages", "chek")
    assert wrong.returncode == 2
    assert "choose from 'check', 'sync', 'diff'" in wrong.stderr


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path, STAGES[:2])
    checkout.write("02_cache", "concert/big.py", "x = 1\n" * 100_000)
    command = [sys.executable, "-m", "harness", "stages", "--root", str(tmp_path), "diff", "1", "2"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=30) == 0


def test_the_check_imports_nothing_heavy(tmp_path: Path) -> None:
    Checkout(tmp_path, STAGES[:1])
    code = (
        "import sys; from harness.__main__ import main;"
        f"code = main(['stages', '--root', {str(tmp_path)!r}, 'check']);"
        "print(code, *sorted({'locust', 'gevent', 'psycopg', 'sqlalchemy', 'rich'} & set(sys.modules)))"
    )
    assert _python("-c", code).stdout.splitlines()[-1] == "0"
