"""``python -m harness documents write | check``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.documents import api, erd
from harness.documents.description import describe_all
from harness.stages.manifest import REPOSITORY, STAGES_ROOT, discover_stages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("write", "check"), help="write them anew, or say which are not up to date")


def run(args: argparse.Namespace) -> int:
    """0: up to date (or written); 1: one is not, or should not be there."""
    made = documents()
    left_over = {path for path in api.API.glob("*") if path not in made}
    if args.what == "write":
        api.API.mkdir(exist_ok=True)
        for path, text in made.items():
            path.write_text(text, encoding="utf-8")
        for path in left_over:
            path.unlink()
        print(f"written: {_names(made)}")
        return 0
    wrong = left_over | {path for path, text in made.items() if not _says(path, text)}
    if not wrong:
        print(f"up to date: {_names(made)}")
        return 0
    print(f"not up to date: {_names(wrong)} (run: python -m harness documents write)", file=sys.stderr)
    return 1


def documents() -> dict[Path, str]:
    """Every document that is made from the code, and its text; raises HarnessError where the code makes none."""
    described = describe_all(discover_stages(STAGES_ROOT))
    return {erd.ERD: erd.erd(described), **{api.API / name: text for name, text in api.api_files(described).items()}}


def _says(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def _names(paths: set[Path] | dict[Path, str]) -> str:
    return ", ".join(sorted(str(path.relative_to(REPOSITORY)) for path in paths))
