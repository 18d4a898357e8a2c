"""The results as tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from experiments.page_serialization.codecs import CODECS
from experiments.page_serialization.damage import damaged, outcome
from experiments.page_serialization.results import Cell, Results, Time

_BEGIN, _END = "<!-- results: written by python -m experiments.page_serialization -->", "<!-- /results -->"
_IN_README = 20


def everything(results: Results) -> str:
    """All that was measured and seen."""
    sizes = sorted({cell.size for cell in results.cells})
    parts = [_conditions(results)]
    parts += [f"## {size} concert{'s' * (size > 1)}\n\n{_of_size(results, size)}" for size in sizes]
    parts.append(f"## What is noticed\n\n{_damage()}")
    return "\n\n".join(parts) + "\n"


def replaced(readme: str, results: Results) -> str:
    """``readme`` with the tables of these ``results`` in the place of those that it has."""
    before, _, rest = readme.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    tables = [_conditions(results), _of_size(results, _IN_README), _damage()]
    return "\n\n".join([f"{before}{_BEGIN}", *tables, f"{_END}{after}"])


def _conditions(results: Results) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in results.libraries.items())
    return (
        f"{results.machine}; Python {results.python}; {libraries}. {results.passes} passes: median "
        "(lowest–highest) of the passes' medians, in µs of CPU time. Load average over the last five minutes: "
        f"{results.load_average}, of which 1 is the measurement."
    )


def _of_size(results: Results, size: int) -> str:
    cells = [cell for cell in results.cells if cell.size == size]
    header = ("codec", "bytes", "encode, µs", "decode, µs", "answer a hit, µs")
    return _table(header, [_row(cell) for cell in cells])


def _row(cell: Cell) -> list[str]:
    times = (cell.encode, cell.decode, cell.answer)
    return [cell.codec, f"{cell.stored_bytes:,}", *map(_time, times)]


def _time(time: Time) -> str:
    return f"{time.median:,.1f} ({time.low:,.1f}–{time.high:,.1f})"


def _damage() -> str:
    kinds = list(damaged(next(iter(CODECS))))
    rows = [[name, *(outcome(name, damaged(name)[kind]) for kind in kinds)] for name in CODECS]
    return _table(("codec", *kinds), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))
