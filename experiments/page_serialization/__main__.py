"""Measures the codecs and writes the tables down: ``python -m experiments.page_serialization [--passes 7]``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.markdown import Markdown

from experiments.page_serialization import tables
from experiments.page_serialization.results import Results, gather

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]


def main() -> int:
    """Runs the benchmarks; 1 if one of them fails."""
    parser = argparse.ArgumentParser(prog="python -m experiments.page_serialization", description=__doc__)
    parser.add_argument("--passes", type=int, default=7, help="how often all of it is measured (default: 7)")
    passes: int = parser.parse_args().passes
    if passes < 1:
        parser.error("--passes must be at least 1")
    console = Console()
    with TemporaryDirectory() as folder:
        # One pass after the other, so that what else the machine does meets every codec alike.
        files = [Path(folder) / f"{number}.json" for number in range(passes)]
        for number, file in enumerate(files, 1):
            console.print(f"pass {number} of {passes}")
            if not _measure(file):
                return 1
        results = gather(files)
    _write(results)
    console.print(Markdown(tables.everything(results)))
    console.print(f"written: {_HERE / 'results.json'}, results.md, and the table in README.md")
    return 0


def _measure(file: Path) -> bool:
    command = [
        *(sys.executable, "-m", "pytest", str(_HERE / "test_speed.py"), "-q", "--no-header", "-p", "no:cacheprovider"),
        # Not the project's own options: they turn benchmarks off, and share tests out among workers.
        *("--override-ini", "addopts="),
        *("--benchmark-enable", "--benchmark-only", "--benchmark-quiet", f"--benchmark-json={file}"),
        # CPU time: it does not count what other processes do meanwhile.
        "--benchmark-timer=time.process_time",
        # Rounds of half a millisecond and more, for a timer that is good for tenths of a microsecond.
        *("--benchmark-min-time=0.0005", "--benchmark-max-time=0.05", "--benchmark-min-rounds=20"),
        *("--benchmark-warmup=on", "--benchmark-warmup-iterations=50"),
    ]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return done.returncode == 0


def _write(results: Results) -> None:
    (_HERE / "results.json").write_text(results.to_json(), encoding="utf-8")
    (_HERE / "results.md").write_text(f"# Results\n\n{tables.everything(results)}", encoding="utf-8")
    readme = _HERE / "README.md"
    readme.write_text(tables.replaced(readme.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
