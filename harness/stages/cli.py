"""The verb ``stages`` of ``python -m harness``: check, sync and diff."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.stages import check, diff, sync
from harness.stages.manifest import REPOSITORY

_EXAMPLES = """\
examples:
  python -m harness stages check                          are all stage.toml files true, all lessons small?
  python -m harness stages sync 01 concert/app.py         carry a fix in stage 01 through the later stages
  python -m harness stages sync 01 concert --dry-run      show what that would do to a whole folder
  python -m harness stages sync 01 concert/app.py --base HEAD~1    the fix is committed already
  python -m harness stages diff 01 02                     the lesson of stage 02
  python -m harness stages diff 01 02 --stat              only names and line counts
  python -m harness stages diff 2 3 --path order          only what changed in order-service

A stage can be named by its number ("2", "02"), its id ("02_cache") or the beginning of it.
exit codes: 0 all well, 1 a rule is broken or a merge has a conflict, 2 the command cannot be carried out
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Register check, sync and diff."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    parser.add_argument(
        "--root", type=Path, default=REPOSITORY, help="the checkout that holds stages/ and common/ (default: this one)"
    )
    verbs = parser.add_subparsers(title="verbs", metavar="check | sync | diff", required=True)
    for name, module, text in (
        ("check", check, "compare every stage with its stage.toml and with the size limits"),
        ("sync", sync, "carry a file's change in one stage forward through the later ones"),
        ("diff", diff, "show how two stages differ, as learners read it"),
    ):
        verb = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        module.add_arguments(verb)
        verb.set_defaults(run_stages=module.run)


def run(args: argparse.Namespace) -> int:
    """Run the chosen one; its exit code."""
    code: int = args.run_stages(args)
    return code
