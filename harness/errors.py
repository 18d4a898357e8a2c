"""The one way the harness says no: a sentence about what is wrong and a hint about what to do."""

from __future__ import annotations


class HarnessError(Exception):
    """A failure that a person can act on.

    The command line prints ``message`` and ``hint`` on two lines, without a traceback, and exits with code 2.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def first_line(problem: BaseException) -> str:
    """The first line of what an exception says, for a sentence."""
    return next(iter(str(problem).strip().splitlines()), "")
