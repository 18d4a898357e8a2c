"""Nothing to collect where the stage on the path has no discovery."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("discovery") else ["*.py"]
