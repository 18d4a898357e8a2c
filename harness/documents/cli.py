"""``python -m harness documents write | check``."""

from __future__ import annotations

import argparse
import sys

from harness.documents import erd
from harness.stages.manifest import REPOSITORY, STAGES_ROOT, discover_stages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("write", "check"), help="write them anew, or say which are not up to date")


def run(args: argparse.Namespace) -> int:
    """0: up to date (or written); 1: one is not."""
    stages = discover_stages(STAGES_ROOT)
    if args.what == "write":
        erd.write(stages)
        print(f"written: {erd.ERD.relative_to(REPOSITORY)}")
        return 0
    if erd.ERD.exists() and erd.ERD.read_text(encoding="utf-8") == erd.erd(stages):
        print("docs/erd.md is up to date")
        return 0
    print("docs/erd.md is not up to date (run: python -m harness documents write)", file=sys.stderr)
    return 1
