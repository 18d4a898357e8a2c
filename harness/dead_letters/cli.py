"""``python -m harness dead-letters list | show | replay``"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from harness.dead_letters.letters import Letter, description, table
from harness.dead_letters.topics import Topics, topics_of
from harness.errors import HarnessError

_ID = re.compile(r"(?:(\d+)/)?(\d+)")

_EXAMPLES = """\
examples:
  run_all.py up 03 --json up.json                        in another terminal
  python -m harness dead-letters list --up up.json
  python -m harness dead-letters show 4 --up up.json
  python -m harness dead-letters replay 4 --up up.json   works on it again; what was done already is not done twice
  python -m harness dead-letters replay --all --kafka 127.0.0.1:9092 --prefix ft1a2b3c.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list | show | replay")
    listing = verbs.add_parser("list", help="one line for each")
    showing = verbs.add_parser("show", help="everything about one")
    replaying = verbs.add_parser("replay", help="publish the original message again, to be worked on anew")
    showing.add_argument("id", metavar="N", help="as `list` shows it: 0/4, or 4 for short")
    replaying.add_argument("id", metavar="N", nargs="?", help="as `list` shows it")
    replaying.add_argument("--all", action="store_true", help="every one that has not been replayed")
    replaying.add_argument("--again", action="store_true", help="also what has been replayed before")
    for verb in (listing, showing, replaying):
        verb.add_argument("--up", type=Path, metavar="FILE", help="what `run_all.py up STAGE --json FILE` has written")
        verb.add_argument("--kafka", metavar="HOST:PORT", help="in place of --up: the stage's Kafka")
        verb.add_argument("--prefix", default="", help="with --kafka: of the stage's topics")


def run(args: argparse.Namespace) -> int:
    topics = _topics(args)
    found = topics.read()
    if args.verb == "list":
        print(table(found) if found else "No dead letters.")
    elif args.verb == "show":
        print(description(_one(found, args.id)))
    else:
        _replay(topics, found, args)
    return 0


def _topics(args: argparse.Namespace) -> Topics:
    if (args.up is None) == (args.kafka is None):
        raise HarnessError("Which stage is not said.", "Use either --up FILE, or --kafka HOST:PORT with --prefix.")
    if args.up is None:
        return Topics(args.kafka, args.prefix)
    if args.prefix:
        raise HarnessError("--prefix goes with --kafka.", "The file that --up names knows its stage's prefix.")
    return topics_of(args.up)


def _replay(topics: Topics, found: Sequence[Letter], args: argparse.Namespace) -> None:
    if args.all == (args.id is not None):
        raise HarnessError("Which letters are not said.", "Use either the id of one, as `list` shows it, or --all.")
    if args.all:
        chosen = [one for one in found if args.again or not one.replays]
    else:
        chosen = [_one(found, args.id)]
        if chosen[0].replays and not args.again:
            raise HarnessError(f"{chosen[0].id} has been replayed before.", "Add --again to replay it once more.")
    topics.replay(chosen)
    print(f"Replayed: {', '.join(one.id for one in chosen)}" if chosen else "Nothing to replay.")


def _one(found: Sequence[Letter], wanted: str) -> Letter:
    match = _ID.fullmatch(wanted)
    if match is None:
        raise HarnessError(f"{wanted!r} is no dead letter's id.", "Ids look like 0/4, or 4 for short; see `list`.")
    name = f"{match[1] or 0}/{match[2]}"
    letter = next((one for one in found if one.id == name), None)
    if letter is None:
        there = ", ".join(one.id for one in found[-10:]) or "none"
        raise HarnessError(f"There is no dead letter {name}.", f"There are: {there}.")
    return letter
