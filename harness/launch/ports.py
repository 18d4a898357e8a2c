"""Which port each instance of a stage listens on: free ones for a measurement, the contract's for ``up``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.supervise import free_port, is_free

GATEWAY_PORT = 12011
# The contract's default ports, as distances from the gateway's; a service's further replicas follow its first.
OFFSETS: Mapping[str, int] = {"gateway": 0, "user": 10, "concert": 20, "order": 30, "payment": 40, "noop": 50}
MAX_REPLICAS_ON_CONTRACT_PORTS = 10
HIGHEST_BASE = 65_535 - max(OFFSETS.values()) - MAX_REPLICAS_ON_CONTRACT_PORTS


@dataclass(frozen=True)
class FreePorts:
    """Any free port; two runs can go side by side."""

    def port(self, component: str, replica: int) -> int:
        return free_port()


@dataclass(frozen=True)
class ContractPorts:
    """The gateway at ``base`` (12011), user-service at +10, concert-service at +20, order-service at +30."""

    base: int = GATEWAY_PORT

    def port(self, component: str, replica: int) -> int:
        """The port of that instance (``replica`` counts from 0).

        Raises:
            HarnessError: somebody listens there already, or the component has more replicas than ports.
        """
        if replica >= MAX_REPLICAS_ON_CONTRACT_PORTS:
            raise HarnessError(f"{component} has more than {MAX_REPLICAS_ON_CONTRACT_PORTS} replicas.", "Use fewer.")
        port = self.base + OFFSETS[component] + replica
        if not is_free(port):
            raise HarnessError(
                f"Port {port}, which {component} needs, is occupied.",
                f"Stop what listens there, or choose other ports, for instance with --port-base {self.base + 1000}.",
            )
        return port


Ports = FreePorts | ContractPorts
