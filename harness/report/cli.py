"""``python -m harness report FOLDER``: draw the report of a finished run again."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.errors import HarnessError
from harness.report import extras as extras_file
from harness.report.extras import load_extras
from harness.report.render import FILE_NAME, render
from harness.store import summary as summary_file
from harness.store.files import load_summary

DEFAULT = Path("reports/latest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's own arguments."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=DEFAULT,
        help=f"folder of a run, or its summary.json (default: {DEFAULT})",
    )
    parser.add_argument("--out", type=Path, help=f"where to write the page (default: {FILE_NAME} in that folder)")


def run(args: argparse.Namespace) -> int:
    """Render ``report.html`` from the folder's ``summary.json`` and ``extras.json``, and print where it lies.

    Raises HarnessError if the folder does not exist or holds no readable summary.
    """
    given: Path = args.folder
    folder = given.parent if given.is_file() else given
    if not folder.is_dir():
        raise HarnessError(f"There is no run at {given}.", "Name a folder under reports/, or run run_all.py first.")
    summary = load_summary(given if given.is_file() else folder / summary_file.FILE_NAME)
    out: Path = args.out or folder / FILE_NAME
    render(summary, load_extras(folder / extras_file.FILE_NAME), out)
    print(out)
    return 0
