"""Starts one stage: its databases, its processes, its CPU budget; and stops it again."""

from harness.launch.running import RunningStage, launch
from harness.launch.secrets import Secrets

__all__ = ["RunningStage", "Secrets", "launch"]
