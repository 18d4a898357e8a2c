"""What is under test: the typed entries of ``stages/02_cache``, and the views that it stores.

Package names repeat in every stage, and a process sees one stage under them. These tests run beside those of another
stage, so the two modules are loaded under names of their own. Neither imports anything else of its stage.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

_CONCERT = Path(__file__).parents[2] / "stages" / "02_cache" / "concert"


def _load(module: str) -> ModuleType:
    name = f"{__package__}.stage_02_{module}"
    spec = spec_from_file_location(name, _CONCERT / f"{module}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no {module}.py in {_CONCERT}")
    loaded = module_from_spec(spec)
    # pydantic and pickle look classes up by the name of their module.
    sys.modules[name] = loaded
    spec.loader.exec_module(loaded)
    return loaded


if TYPE_CHECKING:
    from concert.cache_entries import Found, Kind
    from concert.schemas import ConcertView, VenueView
else:
    _entries, _schemas = _load("cache_entries"), _load("schemas")
    Found, Kind = _entries.Found, _entries.Kind
    ConcertView, VenueView = _schemas.ConcertView, _schemas.VenueView

__all__ = ["ConcertView", "Found", "Kind", "VenueView"]
