"""The comparison as a user starts it, as short as it can be."""

from __future__ import annotations

import re

import pytest

from experiments.gateway_cost.__main__ import BARE, GATEWAY, HOP, LEAN_HOP, main


def test_each_process_is_measured(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["--rounds", "1", "--seconds", "0.3"]) == 0
    said = capsys.readouterr().out
    for name in (BARE, HOP, LEAN_HOP, GATEWAY):
        (cost,) = re.findall(rf"{name} *│ *([\d,]+) ", said)
        assert int(cost.replace(",", "")) > 0
    assert "×" in said


def test_no_rounds_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--rounds", "0"])
    assert "--rounds must be at least 1" in capsys.readouterr().err
