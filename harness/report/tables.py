"""The table under a chart: the same figures for who reads, copies or cannot see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WORDS = frozenset({"Stage", "Variant", "Metric", "Spread is the"})
"""Columns that hold words and stand left; all others hold figures and stand right."""


@dataclass(frozen=True)
class DataTable:
    """Columns as (title, whether it holds figures), and rows of cells."""

    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[tuple[str, bool], ...], ...]


def data_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> DataTable:
    """A table without the columns that are empty in every row, as ``Variant`` is where there is one only."""
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    return DataTable(
        tuple((columns[i], columns[i] not in WORDS) for i in kept),
        tuple(tuple((row[i], columns[i] not in WORDS) for i in kept) for row in rows),
    )
