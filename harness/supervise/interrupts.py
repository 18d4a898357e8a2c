"""Ctrl-C, SIGTERM and SIGHUP: the first ends the run in order, a later one only hurries the clean-up."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

STOPPING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

hurry = threading.Event()
"""Set once somebody has asked twice: what is still being stopped gets SIGKILL instead of patience."""

_Handler = Callable[[int, FrameType | None], object]
_asked: int | None = None
"""The first signal of this command. Python handles signals in the main thread alone, so no lock is needed."""


class Interrupted(KeyboardInterrupt):
    """A signal asked this run to end; ``exit_code`` follows the shells' convention, 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def orderly_interrupts() -> Iterator[None]:
    """Within this block SIGINT, SIGTERM and SIGHUP raise `Interrupted` once; use it around a whole command.

    After the first one the command is on its way out: further ones raise nothing, so they cannot cut a clean-up
    short; they are acknowledged on stderr and set `hurry`.
    """
    _forget()
    before = _install(_raise_once)
    try:
        yield
    finally:
        _restore(before)
        _forget()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Around a clean-up: a signal that comes within it does not break it off.

    A first signal (at the end of a run that went well, say) is kept, and raised when the clean-up is done; one that
    comes after the run was already interrupted sets `hurry`. It works with and without `orderly_interrupts`; outside
    the main thread, where no signal is handled, it does nothing.
    """
    global _asked
    before = _install(_keep)
    standalone = bool(before) and before[signal.SIGTERM] not in (_raise_once, _keep)
    if standalone and isinstance(sys.exception(), KeyboardInterrupt):
        _asked = int(signal.SIGINT)
    asked_before = _asked
    try:
        yield
    finally:
        _restore(before)
        kept = _asked if asked_before is None and before else None
        if standalone:
            _forget()
        if kept is not None and sys.exception() is None:
            raise Interrupted(kept)


def _raise_once(number: int, _frame: FrameType | None) -> None:
    global _asked
    if _asked is not None:
        _hasten()
        return
    _asked = number
    raise Interrupted(number)


def _keep(number: int, _frame: FrameType | None) -> None:
    global _asked
    if _asked is not None:
        _hasten()
        return
    _asked = number
    _say("Stopping what this run started.")


def _hasten() -> None:
    if not hurry.is_set():
        hurry.set()
        _say("Asked again: the rest is ended at once.")


def _say(sentence: str) -> None:
    # Not print(): the signal may have come in the middle of a write to the same buffer. A terminal that has gone
    # (SIGHUP) is no reason to fail.
    try:
        os.write(2, f"\n{sentence}\n".encode())
    except OSError:
        return


def _forget() -> None:
    global _asked
    _asked = None
    hurry.clear()


def _install(handler: _Handler) -> dict[signal.Signals, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    # Started by nohup, a run outlives its terminal.
    heeded = [
        number
        for number in STOPPING_SIGNALS
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN
    ]
    return {number: signal.signal(number, handler) for number in heeded}


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        # None: the handler was not set from Python, and cannot be put back by it.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
