"""What became of the tickets of a cell, for its figures and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from harness.load.result import ACCEPTED, TICKET, LoadResult
from harness.report.extras import Table
from harness.run.drain import Drained
from harness.store.summary import Scalar
from scenarios.model import Attempt
from scenarios.tickets import DONE

BOOKED, REFUSED, UNKNOWN = "success", "refused", "no outcome"
_WELL = (BOOKED, REFUSED)


@dataclass(frozen=True)
class Ends:
    """How the tickets of a cell ended, the warm-up's included, and how long the line was drained for."""

    counts: Counter[str]
    """By end: ``success``, ``refused``, ``no outcome``, or what the client read: ``FAILED``, ``DONE, HTTP 400``."""
    drained: Drained

    @property
    def handed_out(self) -> int:
        return self.counts.total()

    @property
    def succeeded(self) -> int:
        return self.counts[BOOKED]

    @property
    def refused(self) -> int:
        return self.counts[REFUSED]

    @property
    def ended(self) -> int:
        return self.handed_out - self.counts[UNKNOWN]


def end_of(attempt: Attempt, refusals: Collection[int]) -> str:
    """What came of one ticket, in words that can be counted."""
    ticket = attempt.ticket
    if ticket is None or not ticket.ended:
        return UNKNOWN
    if ticket.state != DONE:
        return ticket.state
    if ticket.status == 200:
        return BOOKED
    if attempt.code in refusals and ticket.status < 500:
        return REFUSED
    return f"{DONE}, HTTP {ticket.status}"


def ends_of(attempts: Iterable[Attempt], refusals: Collection[int], drained: Drained) -> Ends:
    """The ends of all tickets."""
    return Ends(Counter(end_of(one, refusals) for one in attempts if one.ticket), drained)


def by_outcome(load: LoadResult, refusals: Collection[int], *, since: float, until: float) -> LoadResult:
    """``load`` with each ticket told by what came of it, where it was handed out in the measured part.

    A ticket that ended in a business answer stays ``accepted``; any other is a failure of its own kind.
    """
    bad = Counter(
        end
        for one in load.attempts
        if one.ticket and since <= (one.answered_at or one.sent_at) < until
        if (end := end_of(one, refusals)) not in _WELL
    )
    outcomes = dict(load.outcomes)
    for end, count in bad.items():
        moved = min(count, outcomes.get(ACCEPTED, 0))
        outcomes[ACCEPTED] = outcomes.get(ACCEPTED, 0) - moved
        outcomes[TICKET + end] = moved
    return replace(load, outcomes=outcomes)


def ticket_tables(cells: Sequence[tuple[str, str, str, int, Ends]]) -> list[Table]:
    """A table a scenario: how the tickets ended. ``cells``: scenario, stage, variant, repeat, ends."""
    rows: dict[str, list[list[Scalar | None]]] = {}
    for scenario, stage, variant, repeat, ends in cells:
        counts = ends.counts
        others = ends.handed_out - sum(counts[name] for name in (*_WELL, UNKNOWN))
        rows.setdefault(scenario, []).append(
            [stage, variant, repeat, ends.handed_out, counts[BOOKED], counts[REFUSED], others, counts[UNKNOWN],
             round(ends.drained.seconds, 1)]
        )  # fmt: skip
    columns = [
        "Stage", "Variant", "Repeat", "Tickets", "Success", "Refused", "Failed", "No outcome", "Drain (s)",
    ]  # fmt: skip
    note = (
        "All that were handed out, in the warm-up as well, each read by its owner after the load. The drain is the "
        "time from the end of the load until the last ticket in line had its outcome."
    )
    return [
        Table(title="Tickets", scenario=scenario, columns=columns, rows=found, note=note)
        for scenario, found in rows.items()
    ]
