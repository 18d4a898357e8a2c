"""The stage whose traces are looked at."""

from __future__ import annotations

from tests.stage_fixtures import databases as databases
from tests.stage_fixtures import stage as stage
