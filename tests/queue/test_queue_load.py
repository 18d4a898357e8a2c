"""Everything dies once, while people come: every ticket has its outcome all the same, and the audit finds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.launch import RunningStage
from tests.faults.cell import Ground


@pytest.mark.empties_databases
@pytest.mark.timeout(300)
def test_each_process_is_killed_while_people_come(running: RunningStage, tmp_path: Path) -> None:
    faults = ("kill:gateway@1s", "kill:dispatcher@2s", "kill:redis@3s", "kill:order@4s", "kill:kafka@5s")
    cell = Ground(running, tmp_path).strike(*faults, scenario="booking", seconds=8)
    assert cell.broken_rules() == []
    assert cell.wrong_answers(may_drop=True) == []
    tickets = [attempt.ticket for attempt in cell.state.attempts if attempt.ticket is not None]
    assert len(tickets) > 20, "nobody waited"
    assert {ticket.state for ticket in tickets} == {"DONE"}
