"""What ``--fault`` says: ``kill:order@10s``, ``kill:order@10s+5s``, ``pause:postgres@10s+5s``, ``restart:user@3s``;
of a stage whose instances find each other also ``add:order@5s`` and ``stop:order#2@5s``.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from harness.errors import HarnessError

_FORM = re.compile(
    r"(?P<action>[a-z]+):(?P<target>[a-z_]+(?:#\d+)?)@(?P<at>\d+(?:\.\d+)?)s(?:\+(?P<down>\d+(?:\.\d+)?)s)?"
)
_HINT = "The form is ACTION:PROCESS@WHEN[+HOW LONG], for instance kill:order@10s, or pause:postgres@10s+5s."


class Action(StrEnum):
    KILL = "kill"
    """SIGKILL; it is started again after the time that follows ``+``, or at once, as an orchestrator would."""
    PAUSE = "pause"
    """SIGSTOP, and SIGCONT after the time that follows ``+``."""
    RESTART = "restart"
    """SIGTERM, and started again when it has ended: a deployment."""
    STOP = "stop"
    """SIGTERM, and not started again before the cell is over: an instance less."""
    ADD = "add"
    """One more instance of a service, until the cell is over."""


SCALING = (Action.STOP, Action.ADD)


@dataclass(frozen=True)
class Fault:
    """One fault of a cell. Times are seconds from the start of the measured part."""

    action: Action
    target: str
    """A component (``order``, ``postgres``), or one replica of it (``order#2``)."""
    at_seconds: float
    down_seconds: float

    def __str__(self) -> str:
        down = f"+{self.down_seconds:g}s" if self.down_seconds else ""
        return f"{self.action}:{self.target}@{self.at_seconds:g}s{down}"


def parse_fault(text: str, components: Collection[str]) -> Fault:
    """The fault that ``text`` describes; its target has to be one of ``components``.

    Raises:
        HarnessError: it is not of the form, or names something that does not run.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise HarnessError(f"{text!r} is not a fault.", _HINT)
    if match["action"] not in tuple(Action):
        raise HarnessError(f"There is no fault {match['action']!r}.", f"There are: {', '.join(Action)}.")
    action, component = Action(match["action"]), match["target"].partition("#")[0]
    if component not in components:
        near = get_close_matches(component, components, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(components))}."
        raise HarnessError(f"No process is called {component!r}.", hint)
    down = float(match["down"] or 0)
    if action is Action.PAUSE and not down:
        raise HarnessError(f"{text!r} does not say how long.", f"For instance {text}+5s.")
    if action in (Action.RESTART, *SCALING) and down:
        raise HarnessError(
            f"{text!r}: {action} takes the time that it takes.", "Use kill to keep a process down for a while."
        )
    if action is Action.ADD and "#" in match["target"]:
        raise HarnessError(f"{text!r}: what is added gets the next number by itself.", f"Say add:{component}.")
    return Fault(action, match["target"], float(match["at"]), down)
