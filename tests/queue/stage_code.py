"""Modules of the stage under test, by their files: the stage on the path is another one."""

from __future__ import annotations

import sys
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any


@cache
def stage_module(folder: Path, path: str) -> Any:
    """A module of the stage in ``folder`` that needs nothing of it but what is in its own file, at ``path``."""
    name = f"{folder.name}:{path}"
    spec = spec_from_file_location(name, folder / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their own module up
    spec.loader.exec_module(module)
    return module
