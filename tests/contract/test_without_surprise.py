"""The last word of the suite, by its name: whatever was sent, nothing happened that nobody foresaw."""

from __future__ import annotations

import pytest

from harness.launch import RunningStage
from tests import plain
from tests.contract.client import Api
from tests.contract.making import CONCERTS


@pytest.mark.parametrize("component", ["gateway", "user", "concert", "order"])
def test_no_process_met_an_exception_that_it_did_not_expect(component: str, platform: RunningStage, buyer: Api) -> None:
    buyer.get(CONCERTS)
    lines = plain.get(platform.service_urls[component] + "/metrics").text.splitlines()
    (count,) = [line for line in lines if line.startswith("unexpected_errors_total ")]
    assert float(count.split()[1]) == 0
    for process in platform.processes[component]:
        assert process.alive()
        assert "Traceback" not in process.log.read_text(), process.log
