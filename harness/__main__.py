"""``python -m harness <verb>``: finds the verb's module, and turns failures into one sentence and an exit code.

A verb is a line in :data:`VERBS`. Its module has ``add_arguments(parser)`` and ``run(args) -> int`` (the exit code) and
is imported only when its verb is used, so that a light verb does not wait for the imports of a heavy one.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Protocol, cast

from harness.errors import HarnessError

PROGRAM = "python -m harness"


@dataclass(frozen=True, slots=True)
class Verb:
    """Where a verb is found, and one line of help."""

    module: str
    help: str


VERBS: dict[str, Verb] = {
    "dead-letters": Verb("harness.dead_letters.cli", "look at cancellations that could not be done, and replay them"),
    "documents": Verb("harness.documents.cli", "write docs/erd.md and docs/api from the code, or check that they hold"),
    "report": Verb("harness.report.cli", "draw the report of a finished run again"),
    "stages": Verb("harness.stages.cli", "check the stages, carry a fix forward, show what a stage changes"),
}


class VerbModule(Protocol):
    """What the module of a verb offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (by default, this process's) and return its exit code.

    0: done; 1: done, and the answer is no (the verb says what that means); 2: it could not be done; 130: Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(arguments)
    except HarnessError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        print(_help(), file=sys.stderr)
        return 2
    name, rest = arguments[0], arguments[1:]
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    verb = VERBS.get(name)
    if verb is None:
        near = get_close_matches(name, VERBS, n=1)
        offer = f'Did you mean "{near[0]}"? ' if near else ""
        raise HarnessError(f'There is no verb "{name}".', f"{offer}Verbs: {', '.join(VERBS)}; see {PROGRAM} --help.")
    module = cast(VerbModule, import_module(verb.module))
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", description=f"{verb.help[0].upper()}{verb.help[1:]}.")
    module.add_arguments(parser)
    code = module.run(parser.parse_args(rest))
    sys.stdout.flush()  # here, so that a closed pipe is met in main and not while Python exits
    return code


def _help() -> str:
    width = max(len(name) for name in VERBS)
    verbs = "\n".join(f"  {name:<{width}}  {verb.help}" for name, verb in VERBS.items())
    return f"""usage: {PROGRAM} <verb> ...

The tools beside run_all.py.

verbs:
{verbs}

examples:
  {PROGRAM} stages check          are all stage.toml files true, all lessons small?
  {PROGRAM} stages diff 01 02     what stage 02 changes
  {PROGRAM} stages --help         everything about stages, with examples

exit codes: 0 done, 1 done and the answer is no, 2 it could not be done"""


if __name__ == "__main__":
    sys.exit(main())
