"""The command line of run_all.py: what it teaches, and how it says no."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli import main
from harness.stages.manifest import REPOSITORY


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command says when it refuses; one sentence, perhaps a hint, exit code 2."""
    try:
        code = main(arguments)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith("error: ")
    assert len(said.strip().splitlines()) <= 2
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("arguments", "offered"),
    [
        (("quikc",), "Did you mean quick?"),
        (("upp", "01"), "Did you mean up?"),
        (("quick", "--scenarios", "concert_lst"), "Did you mean concert_list?"),
        (("quick", "--stages", "01_basline"), "01_baseline"),
        (("up", "99"), "01_baseline"),
        (("quick", "--dataset", "lrge"), "Did you mean large?"),
        (("up", "01", "--load-plan", "concert_list"), "concert_list=plan.json"),
    ],
)
def test_the_nearest_name_is_offered(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], offered: str
) -> None:
    assert offered in refused(capsys, *arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        ("quick", "--repeats", "0"),
        ("quick", "--seconds", "-1"),
        ("quick", "--seconds", "ten"),
        ("quick", "--instance-cpus", "0.01"),
        ("quick", "--instance-cpus", "1000"),
        ("quick", "--instance-cpus", "much"),
        ("quick", "--provider", "docker-swarm"),
        ("quick", "--nonsense"),
        ("up",),
        ("up", "01", "--port-base", "70000"),
        ("up", "01", "--port-base", "-5"),
        ("up", "01", "--json", "/nonexistent/folder/stage.json"),
        ("up", "01", "--load-plan", "concert_list=/nonexistent/folder/plan.json"),
        ("quick", "--stages", "01", "--fault", "kill:order@100s"),
        ("quick", "--stages", "01", "--fault", "kill:ordr@1s"),
        ("quick", "--stages", "01", "--fault", "pause:postgres@1s"),
        ("quick", "--stages", "01", "--fault", "explode"),
        ("quick", "--rate", "0"),
        ("quick", "--rate", "fast"),
        ("quick", "--stages", "01", "--scenarios", "concert_list", "--rate", "5"),
        ("quick", "--provider-median-ms", "-1"),
        ("quick", "--provider-median-ms", "3001"),
        ("quick", "--provider-median-ms", "slow"),
    ],
)
def test_a_bad_argument_is_one_sentence(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    refused(capsys, *arguments)


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    for word in ("quick", "full", "smoke", "up 01", "--instance-cpus", "concert_list", "reports/latest/report.html"):
        assert word in said


def test_an_occupied_port_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        said = refused(capsys, "up", "01", "--port-base", str(port))
    assert f"Port {port}" in said
    assert "--port-base" in said


def test_a_missing_external_url_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORTICKETS_POSTGRES_URL", raising=False)
    assert "FORTICKETS_POSTGRES_URL" in refused(capsys, "up", "01", "--provider", "external")


def test_an_unreachable_external_server_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("FORTICKETS_POSTGRES_URL", f"postgresql://me:hidden-word@127.0.0.1:{port}/postgres")
    said = refused(capsys, "up", "01", "--provider", "external")
    assert str(port) in said
    assert "hidden-word" not in said


def test_a_full_disk_is_one_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("harness.cli._measure", full)
    assert "disk is full" in refused(capsys, "quick")


def test_a_defect_of_the_harness_is_no_broken_audit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 1 means that an audit was broken; whatever nobody expected is 2, and its traceback is kept."""

    def defective(*_: object) -> None:
        raise RuntimeError("something unheard of")

    monkeypatch.setattr("harness.cli._measure", defective)
    said = refused(capsys, "quick")
    assert "something unheard of" in said
    kept = Path(said.split("The traceback is in ")[1].split(";")[0])
    assert "Traceback" in kept.read_text()
    kept.unlink()


def test_reports_that_cannot_be_written_are_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    in_the_way = tmp_path / "reports"
    in_the_way.write_text("not a folder")
    assert "reports" in refused(capsys, "quick", "--stages", "01", "--reports", str(in_the_way))


def test_modules_that_load_locust_stay_out_of_the_command_line() -> None:
    """Locust patches the standard library for gevent; the harness itself must not run on that."""
    check = "import sys, harness.cli, harness.run.execute, harness.run.up; sys.exit('gevent' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=REPOSITORY, check=False).returncode == 0
