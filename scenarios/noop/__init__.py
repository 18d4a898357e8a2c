"""The ceiling: the concert list's load on a service that has nothing to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.request import Request, urlopen

from scenarios.audits.verdicts import finding
from scenarios.model import Audited, CellState, Load, Scenario, Variant


def prepare(state: CellState) -> Mapping[str, Any]:
    """How long the concert list's first page is: the constant answer has the same length."""
    request = Request(
        f"{state.gateway_url}/concert-service/concerts?page=0&size=20",
        headers={"Authorization": f"Bearer {state.tokens[0]}"},
    )
    with urlopen(request, timeout=30) as response:
        return {"bytes": len(response.read())}


def audit(state: CellState) -> Audited:
    """Every answer that a client kept is whole: they all have the one length."""
    lengths = {len(answer.body.encode()) for answer in state.answers}
    problems = [f"answers of {sorted(lengths)} bytes"] if len(lengths) > 1 else []
    return Audited([finding("answers_are_constant", problems, checked=len(state.answers))])


SCENARIO = Scenario(
    id="noop",
    title="No work (ceiling)",
    text="100 clients get a constant answer, as long as a page of the concert list, from a service of the same make "
    "and size behind the same gateway. No service of the stage can be faster than this.",
    variants=(Variant(Load("closed", users=100, requests_per_user=100)),),
    prepare=prepare,
    audit=audit,
    needs_noop=True,
)
