"""The results as tables in Markdown, and the place in the README where they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from experiments.seat_contention.model import GUARDS, Load
from experiments.seat_contention.results import Cell, Figure, Results
from experiments.seat_contention.verdict import verdict

_BEGIN, _END = "<!-- results: written by python -m experiments.seat_contention -->", "<!-- /results -->"
_HEADER = (
    "guard", "seats sold twice", "answered well", "answered well a second", "p50, ms", "p99, ms",
    "PostgreSQL, µs", "Redis, µs", "service, µs",
)  # fmt: skip


def everything(results: Results, loads: Sequence[Load]) -> str:
    """Conditions, a table for each load, and the verdict."""
    parts = [_conditions(results)]
    for load in loads:
        rows = [_row(results.cell(guard.name, load)) for guard in GUARDS]
        parts.append(f"### {load.buyers:,} buyers, {load.name}\n\n{_table(rows)}")
    sentences = "\n".join(f"- {sentence}" for sentence in verdict(results, loads))
    parts.append(f"### Verdict\n\n{sentences}")
    return "\n\n".join(parts)


def replaced(readme: str, results: Results, loads: Sequence[Load]) -> str:
    """``readme`` with these results in the place of those that it has."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return "\n\n".join([f"{before}{_BEGIN}", everything(results, loads), f"{_END}{after}"])


def _conditions(results: Results) -> str:
    return (
        f"{results.machine}; Python {results.python}; {results.servers}. {results.repeats} repeats: median "
        "(lowest–highest). CPU is a buyer's share of each process's CPU time. Load average over the last five minutes: "
        f"{results.load_average}, of which 2 is the measurement."
    )


def _row(cell: Cell) -> list[str]:
    figures = (cell.per_second, cell.p50_ms, cell.p99_ms, cell.postgres_us, cell.redis_us, cell.service_us)
    return [cell.guard, _number(cell.seats_sold_twice), _share(cell.answered_well), *map(_number, figures)]


def _number(figure: Figure) -> str:
    return _range(figure, lambda value: f"{value:,.0f}")


def _share(figure: Figure) -> str:
    return _range(figure, lambda value: f"{value:.1%}")


def _range(figure: Figure, text: Callable[[float], str]) -> str:
    middle, low, high = (text(value) for value in (figure.median, figure.low, figure.high))
    return middle if low == high else f"{middle} ({low}–{high})"


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = (_HEADER, ["---"] * len(_HEADER), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
