"""Lets crowds buy under each guard and writes the tables down: ``python -m experiments.seat_contention [--quick]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.markdown import Markdown

from experiments.seat_contention import tables
from experiments.seat_contention.instances import opened
from experiments.seat_contention.model import GUARDS, LOADS, QUICK_LOADS, Load, Run
from experiments.seat_contention.results import Cell, Results

_HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(prog="python -m experiments.seat_contention", description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="how often everything is done (default: 3)")
    parser.add_argument("--quick", action="store_true", help="small crowds, once; prints and writes nothing")
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error("--repeats must be at least 1")
    console = Console()
    loads = QUICK_LOADS if options.quick else LOADS
    with TemporaryDirectory() as folder:
        results = measure(loads, 1 if options.quick else options.repeats, Path(folder), console)
    console.print(Markdown(tables.everything(results, loads)))
    if not options.quick:
        (_HERE / "results.json").write_text(results.to_json(), encoding="utf-8")
        readme = _HERE / "README.md"
        readme.write_text(tables.replaced(readme.read_text(encoding="utf-8"), results, loads), encoding="utf-8")
        console.print(f"written: {_HERE / 'results.json'}, and the tables in README.md")
    return 0


def measure(loads: tuple[Load, ...], repeats: int, folder: Path, console: Console) -> Results:
    """Guards take turns, so that what else the machine does meets all of them."""
    runs: dict[tuple[str, Load], list[Run]] = {(guard.name, load): [] for guard in GUARDS for load in loads}
    with opened(folder) as hall:
        # What is done for the first time takes longer: plans are made, modules warm.
        for guard in GUARDS:
            hall.run(guard, Load("warm-up", 200, one_seat=False))
        for number in range(repeats):
            for load in loads:
                console.print(f"repeat {number + 1} of {repeats}: {load.buyers:,} buyers, {load.name}")
                # The first in turn is another one each time.
                for guard in (*GUARDS[number % len(GUARDS) :], *GUARDS[: number % len(GUARDS)]):
                    runs[guard.name, load].append(hall.run(guard, load))
        cells = [Cell.of(guard, load, runs[guard.name, load]) for guard in GUARDS for load in loads]
        return Results.here(hall.versions, repeats, cells)


if __name__ == "__main__":
    sys.exit(main())
