"""How audits report: a rule, how often it was broken, and the first violations in words."""

from __future__ import annotations

from collections.abc import Sequence

from scenarios.model import Finding

SHOWN = 3


def finding(rule: str, problems: Sequence[str], *, checked: int) -> Finding:
    """The outcome of ``rule`` after ``checked`` checks.

    A rule that had nothing to check has not been kept; it counts as broken, so that an audit cannot pass idle.
    """
    if checked == 0:
        return Finding(rule, 1, "nothing was there to check")
    if not problems:
        return Finding(rule, 0, f"{checked:,} checked")
    more = f" and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    return Finding(rule, len(problems), "; ".join(problems[:SHOWN]) + more)
