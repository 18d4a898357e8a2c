"""The one command: measures the stages and draws the comparison. ``python run_all.py --help`` teaches the rest."""

import sys

from harness.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
