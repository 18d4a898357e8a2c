"""Everything that one run starts, and how it ends: on success, failure, Ctrl-C, and after a kill -9."""

from harness.supervise.identity import ProcessIdentity
from harness.supervise.interrupts import Interrupted, orderly_interrupts, uninterrupted
from harness.supervise.leftovers import sweep_leftovers
from harness.supervise.ports import free_port, is_free
from harness.supervise.process import Child, Command, ManagedProcess, execute
from harness.supervise.record import STATE_VARIABLE
from harness.supervise.supervisor import Supervisor

__all__ = [
    "STATE_VARIABLE",
    "Child",
    "Command",
    "Interrupted",
    "ManagedProcess",
    "ProcessIdentity",
    "Supervisor",
    "execute",
    "free_port",
    "is_free",
    "orderly_interrupts",
    "sweep_leftovers",
    "uninterrupted",
]
