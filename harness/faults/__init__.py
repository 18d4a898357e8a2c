"""Faults on purpose: a process is killed, paused or restarted while a scenario runs."""

from harness.faults.inject import FaultRun, Injector
from harness.faults.model import Fault, parse_fault

__all__ = ["Fault", "FaultRun", "Injector", "parse_fault"]
