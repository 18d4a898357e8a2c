"""Which colour stands for what, and in which order things are shown; the colours themselves are in ``style.css``."""

from __future__ import annotations

import re

from harness.store.summary import Stage

STAGE_HUES = 8
"""Hues ``--s1`` to ``--s8`` of the style sheet."""

COMPONENTS = (
    "gateway",
    "user",
    "concert",
    "order",
    "dispatcher",
    "worker",
    "payment",
    "postgres",
    "redis",
    "kafka",
    "noop",
)
"""Order of components in every stack and legend, from the client inwards; each has a shade ``--c-<name>``."""

LOAD_GENERATOR = "locust"
"""The component that is no part of the platform: shown over time, but never counted into a request's cost."""

_ALIASES = {
    "postgresql": "postgres",
    "valkey": "redis",
    "provider": "payment",
    "simulator": "payment",
    "consumer": "worker",
    "relay": "worker",
    "canceller": "worker",
    "cancellation": "worker",
}
_SPLIT = re.compile(r"[#:_\-.\s\d]+")


def stage_hues(stages: list[Stage]) -> dict[str, int]:
    """Stage id to hue 1..8. A numbered stage (``02_cache``) has its number's hue in every report, whatever else ran."""
    hues: dict[str, int] = {}
    for index, stage in enumerate(stages, start=1):
        numbered = re.match(r"\d+", stage.id)
        position = int(numbered.group()) if numbered else index
        hues[stage.id] = (position - 1) % STAGE_HUES + 1
    return hues


def component_kind(component: str) -> str:
    """The kind of a process: ``concert`` for ``concert-service#2``, ``worker`` for ``order_consumer``; else other."""
    words = [_ALIASES.get(word, word) for word in _SPLIT.split(component.lower()) if word]
    if "worker" in words:
        return "worker"
    return next((word for word in words if word in COMPONENTS), "other")


def component_key(component: str) -> tuple[int, str]:
    """Sort key that puts components into the order of ``COMPONENTS``, unknown ones last by name."""
    kind = component_kind(component)
    return (COMPONENTS.index(kind) if kind in COMPONENTS else len(COMPONENTS), component)
